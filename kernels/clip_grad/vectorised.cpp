// The scaling of all gradients on the CPU: pieces in parallel, and nothing to do where the factor is 1.
#include "kernels/base/registry.h"
#include "kernels/clip_grad/clip_grad.h"
#include "kernels/cpu/pieces.h"

namespace tenon {
namespace {

void run(const ScaleTensors::Args& a, Stream&) {
  const float factor = clip_grad::factor(*a.norm.as<float>(), a.max_norm);
  if (factor == 1) return;
  cpu::for_each_piece(a.grads, [&](size_t k, int64_t begin, int64_t end) {
    float* gradient = a.grads[k].as<float>();
    for (int64_t i = begin; i < end; ++i) gradient[i] *= factor;
  });
}

const Register<ScaleTensors> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
