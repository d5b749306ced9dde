// A sum or a maximum over the threads of a block, the same bits in every thread.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// `partial` is shared memory, a number for each warp, and the block is made of whole warps. Calls may follow
// each other with the same memory.
template <Shuffled T>
__device__ inline T block_sum(T value, T* partial, Here here = Here::current()) {
  value = warp_sum(value, here);
  sync_threads(here);  // slow warps may still be reading what the call before has left
  if (lane_number() == 0) partial[warp_number()] = value;
  sync_threads(here);
  T sum = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / warp_size; ++warp) sum += partial[warp];
  return sum;
}
__device__ inline float block_max(float value, float* partial, Here here = Here::current()) {
  value = warp_max(value, here);
  sync_threads(here);
  if (lane_number() == 0) partial[warp_number()] = value;
  sync_threads(here);
  float largest = partial[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / warp_size; ++warp)
    if (largest < partial[warp]) largest = partial[warp];
  return largest;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
