// What the norm's variants on a GPU share: the launch that adds up the blocks' fp64 sums, in their order, and
// takes the root.
#pragma once
#include "kernels/simt/block_reduce.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int norm_warps = 8, norm_threads = norm_warps * warp_size;

struct NormSmem {
  double partial[norm_warps];
};

template <class T>
__global__ void __launch_bounds__(norm_threads) root_of_sums(const double* sums, int64_t count, T* norm) {
  double sum = 0;
  for (int64_t i = thread_number(); i < count; i += norm_threads) sum += sums[i];
  sum = block_sum(sum, shared<NormSmem>().partial);
  if (thread_number() == 0) *norm = static_cast<T>(std::sqrt(sum));
}

inline void launch_root(Stream& stream, const double* sums, int64_t count, float* norm) {
  launch(stream, {.grid = 1, .block = norm_threads, .shared_bytes = sizeof(NormSmem)}, root_of_sums<float>,
         sums, count, norm);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
