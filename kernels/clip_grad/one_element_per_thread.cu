// The scaling of all gradients, plainly: one thread, one element, one launch for each tensor. Bound by memory
// bandwidth for large tensors, by launches for small ones.
#include "kernels/base/registry.h"
#include "kernels/clip_grad/clip_grad.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

__global__ void scale(float* gradient, int64_t size, const float* norm, double max_norm) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) gradient[i] *= clip_grad::factor(*norm, max_norm);
}

void run(const ScaleTensors::Args& a, Stream& stream) {
  for (const TensorView& grad : a.grads)
    launch(stream, {.grid = ceil_div(grad.size(), threads), .block = threads}, scale, grad.as<float>(),
           grad.size(), a.norm.as<float>(), a.max_norm);
}

const Register<ScaleTensors> registered{
    {.name = "one_element_per_thread", .device = kernel_device, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
