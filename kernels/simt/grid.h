// A barrier across all threads of a launch, for kernels that keep their state from step to step. It needs
// LaunchConfig::cooperative, whose blocks all run together: no more of them than most_cooperative_blocks.
#pragma once
#include "kernels/simt/launch.h"

#ifdef __CUDACC__
#include <cooperative_groups.h>

#include "kernels/simt/cuda_launch.h"
#endif

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Every thread of the grid waits here, and none may have returned; memory before it is seen after it.
__device__ inline void sync_grid([[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  cooperative_groups::this_grid().sync();
#else
  simt::grid_barrier(here);
#endif
}

// How many blocks of `threads` threads and `shared_bytes` each can run together; 0 where the GPU
// has less shared memory for a block.
template <class... Params>
int64_t most_cooperative_blocks([[maybe_unused]] void (*kernel)(Params...), int64_t threads,
                                size_t shared_bytes, Here where = Here::current()) {
  check_launch({.block = threads, .shared_bytes = shared_bytes, .where = where});
#ifdef __CUDACC__
  if (!device_attribute(cudaDevAttrCooperativeLaunch, where)) return 0;
  const int most_bytes = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, where);
  if (static_cast<int64_t>(shared_bytes) > most_bytes) return 0;
  allow_shared_memory(kernel, shared_bytes, where);
  int blocks = 0;
  check_cuda_launch(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(threads), shared_bytes),
      where);
  return int64_t{blocks} * device_attribute(cudaDevAttrMultiProcessorCount, where);
#else
  return simt::most_blocks_together;
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
