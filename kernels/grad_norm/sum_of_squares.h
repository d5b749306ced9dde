// The two halves that the norm's variants on a GPU share: the sum over a block in fp64, and the launch that
// adds up the blocks' in their order and takes the root.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int norm_warps = 8, norm_threads = norm_warps * warp_size;

struct NormSmem {
  double partial[norm_warps];
};

// The sum over the block, in every thread; once in a kernel.
__device__ inline double norm_block_sum(double value) {
  auto& smem = shared<NormSmem>();
  value = warp_sum(value);
  if (lane_number() == 0) smem.partial[warp_number()] = value;
  sync_threads();
  double sum = 0;
  for (int warp = 0; warp < norm_warps; ++warp) sum += smem.partial[warp];
  return sum;
}

template <class T>
__global__ void __launch_bounds__(norm_threads) root_of_sums(const double* sums, int64_t count, T* norm) {
  double sum = 0;
  for (int64_t i = thread_number(); i < count; i += norm_threads) sum += sums[i];
  sum = norm_block_sum(sum);
  if (thread_number() == 0) *norm = static_cast<T>(std::sqrt(sum));
}

inline void launch_root(Stream& stream, const double* sums, int64_t count, float* norm) {
  launch(stream, {.grid = 1, .block = norm_threads, .shared_bytes = sizeof(NormSmem)}, root_of_sums<float>,
         sums, count, norm);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
