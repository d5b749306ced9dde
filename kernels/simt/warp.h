// Threads of a warp and of a block working together; each primitive stands beside its twin for the emulator.
// Members are a mask of the lanes that take part, all of which must arrive at the same source line. As on a
// GPU only sync_threads and sync_warp order memory; shuffles and votes carry values, nothing else.
#pragma once
#include <concepts>
#include <type_traits>

#include "kernels/simt/launch.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int warp_size = 32;
inline constexpr uint32_t whole_warp = 0xffffffffu;

template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

// Linear number of this thread in its block, and its place in its warp.
__device__ inline int thread_number() {
#ifdef __CUDACC__
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
#else
  return simt::thread_number();
#endif
}
__device__ inline int lane_number() { return thread_number() % warp_size; }
__device__ inline int warp_number() { return thread_number() / warp_size; }

// Every thread of the block that has not returned waits here; memory before it is seen after it.
__device__ inline void sync_threads([[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  __syncthreads();
#else
  simt::block_barrier(here);
#endif
}

#ifndef __CUDACC__
template <class T>
struct WarpValues {
  T lane[warp_size];
};

template <class T>
WarpValues<T> warp_exchange(T value, uint32_t members, const char* operation, Here here) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= simt::max_exchange_bytes);
  WarpValues<T> values;
  simt::warp_exchange(&value, sizeof(T), &values, members, operation, simt::Ordering::none, here);
  return values;
}

template <class T>
T value_of_lane(const WarpValues<T>& values, int source, uint32_t members, Here here) {
  if (!(members >> source & 1)) simt::kernel_fault("a shuffle reads a lane outside its members", here);
  return values.lane[source];
}
#endif

// Memory before it is seen by the members after it.
__device__ inline void sync_warp(uint32_t members = whole_warp,
                                 [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  __syncwarp(members);
#else
  simt::warp_exchange(nullptr, 0, nullptr, members, "sync_warp", simt::Ordering::memory, here);
#endif
}

// The value of lane `source` (0 to 31).
template <Shuffled T>
__device__ inline T shuffle(T value, int source, uint32_t members = whole_warp,
                            [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return __shfl_sync(members, value, source);
#else
  const auto values = warp_exchange(value, members, "shuffle", here);
  return value_of_lane(values, source % warp_size, members, here);
#endif
}

// The value of lane (own ^ mask).
template <Shuffled T>
__device__ inline T shuffle_xor(T value, int mask, uint32_t members = whole_warp,
                                [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return __shfl_xor_sync(members, value, mask);
#else
  const auto values = warp_exchange(value, members, "shuffle_xor", here);
  return value_of_lane(values, (lane_number() ^ mask) % warp_size, members, here);
#endif
}

// The value of lane own + delta; beyond the last lane, the own value.
template <Shuffled T>
__device__ inline T shuffle_down(T value, int delta, uint32_t members = whole_warp,
                                 [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return __shfl_down_sync(members, value, static_cast<unsigned>(delta));
#else
  const auto values = warp_exchange(value, members, "shuffle_down", here);
  const int source = lane_number() + delta;
  return source < warp_size ? value_of_lane(values, source, members, here) : value;
#endif
}

// The value of lane own - delta; before the first lane, the own value.
template <Shuffled T>
__device__ inline T shuffle_up(T value, int delta, uint32_t members = whole_warp,
                               [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return __shfl_up_sync(members, value, static_cast<unsigned>(delta));
#else
  const auto values = warp_exchange(value, members, "shuffle_up", here);
  const int source = lane_number() - delta;
  return source >= 0 ? value_of_lane(values, source, members, here) : value;
#endif
}

// The mask of the members whose predicate holds.
__device__ inline uint32_t ballot(bool predicate, uint32_t members = whole_warp,
                                  [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return __ballot_sync(members, predicate);
#else
  const auto values = warp_exchange(predicate, members, "ballot", here);
  uint32_t mask = 0;
  for (int lane = 0; lane < warp_size; ++lane)
    if (members >> lane & 1) mask |= static_cast<uint32_t>(values.lane[lane]) << lane;
  return mask;
#endif
}

// The lowest lane of a mask that is not empty, and how many lanes a mask has.
__device__ inline int lowest_lane(uint32_t mask) {
#ifdef __CUDACC__
  return __ffs(static_cast<int>(mask)) - 1;
#else
  return __builtin_ctz(mask);
#endif
}
__device__ inline int count_lanes(uint32_t mask) {
#ifdef __CUDACC__
  return __popc(mask);
#else
  return __builtin_popcount(mask);
#endif
}

// Sum and maximum over a whole warp, the same bits in every lane.
template <Shuffled T>
__device__ inline T warp_sum(T value, Here here = Here::current()) {
  for (int mask = warp_size / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask, whole_warp, here);
  return value;
}
template <Shuffled T>
__device__ inline T warp_max(T value, Here here = Here::current()) {
  for (int mask = warp_size / 2; mask > 0; mask /= 2) {
    const T other = shuffle_xor(value, mask, whole_warp, here);
    if (value < other) value = other;
  }
  return value;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
