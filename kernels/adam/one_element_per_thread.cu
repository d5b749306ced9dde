// Adam, plainly: one thread, one element, one launch for each tensor. Bound by memory bandwidth for large
// tensors (four streams read, three written), by launches for small ones.
#include "kernels/adam/formula.h"
#include "kernels/base/registry.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

__global__ void update(adam::Scalars<float> scalars, const float* gradient, float* parameter, float* exp_avg,
                       float* exp_avg_sq, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) adam::update(scalars, gradient[i], parameter[i], exp_avg[i], exp_avg_sq[i]);
}

void run(const Adam::Args& a, Stream& stream) {
  const adam::Scalars<float> scalars(a);
  for (size_t k = 0; k < a.params.size(); ++k) {
    const int64_t size = a.params[k].size();
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, update, scalars,
           a.grads[k].as<float>(), a.params[k].as<float>(), a.exp_avg[k].as<float>(),
           a.exp_avg_sq[k].as<float>(), size);
  }
}

const Register<Adam> registered{
    {.name = "one_element_per_thread", .device = kernel_device, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
