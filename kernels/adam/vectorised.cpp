// Adam on the CPU: one pass over all parameters, pieces in parallel, vector instructions by the compiler.
// Bandwidth bound: four streams read, three written.
#include "kernels/adam/formula.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/pieces.h"

namespace tenon {
namespace {

void run(const Adam::Args& a, Stream&) {
  const adam::Scalars<float> scalars(a);
  cpu::for_each_piece(a.params, [&](size_t k, int64_t begin, int64_t end) {
    const adam::Scalars<float> s = scalars;
    const float* __restrict gradient = a.grads[k].as<float>();
    float* __restrict parameter = a.params[k].as<float>();
    float* __restrict exp_avg = a.exp_avg[k].as<float>();
    float* __restrict exp_avg_sq = a.exp_avg_sq[k].as<float>();
    for (int64_t i = begin; i < end; ++i)
      adam::update(s, gradient[i], parameter[i], exp_avg[i], exp_avg_sq[i]);
  });
}

const Register<Adam> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
