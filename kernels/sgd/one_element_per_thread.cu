// Stochastic gradient descent, plainly: one thread, one element, one launch for each tensor. Bound by memory
// bandwidth for large tensors, by launches for small ones.
#include "kernels/base/registry.h"
#include "kernels/sgd/formula.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

__global__ void update(sgd::Scalars<float> scalars, const float* gradient, float* parameter, float* buffer,
                       int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  if (buffer)
    sgd::update(scalars, gradient[i], parameter[i], buffer[i]);
  else
    sgd::update(scalars, gradient[i], parameter[i]);
}

void run(const Sgd::Args& a, Stream& stream) {
  sgd::check_buffers(a);
  const sgd::Scalars<float> scalars(a);
  for (size_t k = 0; k < a.params.size(); ++k) {
    const int64_t size = a.params[k].size();
    float* buffer = a.momentum == 0 ? nullptr : a.momentum_buffers[k].as<float>();
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, update, scalars,
           a.grads[k].as<float>(), a.params[k].as<float>(), buffer, size);
  }
}

const Register<Sgd> registered{
    {.name = "one_element_per_thread", .device = kernel_device, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
