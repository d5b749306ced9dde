// SGD on the CPU: one pass over all parameters, pieces in parallel, vector instructions by the compiler.
#include "kernels/base/registry.h"
#include "kernels/cpu/pieces.h"
#include "kernels/sgd/formula.h"

namespace tenon {
namespace {

void run(const Sgd::Args& a, Stream&) {
  sgd::check_buffers(a);
  const sgd::Scalars<float> scalars(a);
  cpu::for_each_piece(a.params, [&](size_t k, int64_t begin, int64_t end) {
    const sgd::Scalars<float> s = scalars;
    const float* __restrict gradient = a.grads[k].as<float>();
    float* __restrict parameter = a.params[k].as<float>();
    if (a.momentum == 0) {
      for (int64_t i = begin; i < end; ++i) sgd::update(s, gradient[i], parameter[i]);
      return;
    }
    float* __restrict buffer = a.momentum_buffers[k].as<float>();
    for (int64_t i = begin; i < end; ++i) sgd::update(s, gradient[i], parameter[i], buffer[i]);
  });
}

const Register<Sgd> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
