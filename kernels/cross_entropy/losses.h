// What the losses share on a GPU: the mean that ends a loss, and the backward, which scales the slopes that
// the forward has left by the gradient of the loss.
#pragma once
#include "kernels/simt/block_reduce.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int loss_warps = 8, loss_threads = loss_warps * warp_size;

struct LossSmem {
  float partial[loss_warps];
};

// loss = the sum of `count` terms over `size`, by one block.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    mean_of_terms(const float* terms, int64_t count, float size, T* loss) {
  float sum = 0;
  for (int64_t i = thread_number(); i < count; i += loss_threads) sum += terms[i];
  sum = block_sum(sum, shared<LossSmem>().partial);
  if (thread_number() == 0) *loss = from_float<T>(sum / size);
}

template <class T>
void launch_mean(Stream& stream, const float* terms, int64_t count, int64_t size, T* loss) {
  launch(stream, {.grid = 1, .block = loss_threads, .shared_bytes = sizeof(LossSmem)}, mean_of_terms<T>,
         terms, count, static_cast<float>(size), loss);
}

template <class T>
__global__ void __launch_bounds__(loss_threads)
    scale_slopes(const T* dloss, const T* slopes, T* dlogits, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * loss_threads + thread_number();
  if (i < size) dlogits[i] = from_float<T>(to_float(*dloss) * to_float(slopes[i]));
}

template <class Args>
void launch_scale_slopes(const Args& a, Stream& stream) {
  dispatch<float, bf16>(a.slopes.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(a.slopes.size(), loss_threads), .block = loss_threads}, scale_slopes<T>,
           a.dloss.template as<T>(), a.slopes.template as<T>(), a.dlogits.template as<T>(), a.slopes.size());
  });
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
