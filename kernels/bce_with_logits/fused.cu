// Binary cross entropy and its slopes in one launch: an exponential serves both. Up to 1024 logits are one
// block's, whose sum is the loss; more are dealt out to at most 1024 blocks, and a second launch adds what
// they found. The split depends on the size alone. Bound by the latency of one launch; where there are
// millions, by memory bandwidth.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/bce_with_logits/bce_with_logits.h"
#include "kernels/bce_with_logits/formula.h"
#include "kernels/cross_entropy/losses.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t elements_of_block = 1024, most_blocks = 1024;

// sums[block] = the sum over this block's share of the terms, divided by `divisor`. slopes may be null.
template <class T, class Out>
__global__ void __launch_bounds__(loss_threads)
    forward(const T* logits, const T* labels, int64_t size, T* slopes, float divisor, Out* sums) {
  float sum = 0;
  const int64_t stride = int64_t{gridDim.x} * loss_threads;
  for (int64_t i = int64_t{blockIdx.x} * loss_threads + thread_number(); i < size; i += stride) {
    const auto term = bce_with_logits::term(to_float(logits[i]), to_float(labels[i]));
    sum += term.loss;
    if (slopes) slopes[i] = from_float<T>(term.slope / static_cast<float>(size));
  }
  sum = block_sum(sum, shared<LossSmem>().partial);
  if (thread_number() == 0) sums[blockIdx.x] = from_float<Out>(sum / divisor);
}

int64_t blocks(const BceWithLogits::Args& a) {
  return std::min(ceil_div(a.logits.size(), elements_of_block), most_blocks);
}

size_t workspace(const BceWithLogits::Args& a) {
  return blocks(a) == 1 ? 0 : static_cast<size_t>(blocks(a)) * sizeof(float);
}

void run(const BceWithLogits::Args& a, Stream& stream) {
  const int64_t size = a.logits.size();
  const Buffer partial(kernel_device, workspace(a));
  const LaunchConfig config{.grid = blocks(a), .block = loss_threads, .shared_bytes = sizeof(LossSmem)};
  dispatch<float, bf16>(a.logits.dtype, [&]<class T>() {
    const T *logits = a.logits.as<T>(), *labels = a.labels.as<T>();
    T* slopes = a.slopes.defined() ? a.slopes.as<T>() : nullptr;
    if (blocks(a) == 1)
      return launch(stream, config, forward<T, T>, logits, labels, size, slopes, static_cast<float>(size),
                    a.loss.as<T>());
    launch(stream, config, forward<T, float>, logits, labels, size, slopes, 1.0f, partial.as<float>());
    launch_mean(stream, partial.as<float>(), blocks(a), size, a.loss.as<T>());
  });
}

const Register<BceWithLogits> registered{{.name = "fused",
                                          .device = kernel_device,
                                          .priority = 10,
                                          .dtypes = {DType::f32, DType::bf16},
                                          .workspace = workspace,
                                          .run = run}};

}  // namespace
}  // namespace tenon
