// The norm of all gradients, plainly: a launch for each tensor leaves the sums of its blocks, each of 2048
// elements, and a last one adds them. Bound by memory bandwidth for large tensors, by launches for small
// ones.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/grad_norm/grad_norm.h"
#include "kernels/grad_norm/sum_of_squares.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t elements_of_block = 2048;

__global__ void __launch_bounds__(norm_threads) sum_share(const float* x, int64_t size, double* sums) {
  double sum = 0;
  const int64_t begin = blockIdx.x * elements_of_block;
  for (int64_t i = begin + thread_number(); i < begin + elements_of_block && i < size; i += norm_threads)
    sum += double{x[i]} * double{x[i]};
  sum = block_sum(sum, shared<NormSmem>().partial);
  if (thread_number() == 0) sums[blockIdx.x] = sum;
}

int64_t blocks(const TensorView& grad) { return ceil_div(grad.size(), elements_of_block); }

size_t workspace(const GradNorm::Args& a) {
  int64_t all = 0;
  for (const TensorView& grad : a.grads) all += blocks(grad);
  return static_cast<size_t>(all) * sizeof(double);
}

void run(const GradNorm::Args& a, Stream& stream) {
  const Buffer sums(kernel_device, workspace(a));
  int64_t count = 0;
  for (const TensorView& grad : a.grads) {
    launch(stream, {.grid = blocks(grad), .block = norm_threads, .shared_bytes = sizeof(NormSmem)}, sum_share,
           grad.as<float>(), grad.size(), sums.as<double>() + count);
    count += blocks(grad);
  }
  launch_root(stream, sums.as<double>(), count, a.norm.as<float>());
}

const Register<GradNorm> registered{{.name = "launch_per_tensor",
                                     .device = kernel_device,
                                     .dtypes = {DType::f32},
                                     .workspace = workspace,
                                     .run = run}};

}  // namespace
}  // namespace tenon
