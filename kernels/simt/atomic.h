// Atomic updates of global and shared memory. They order no other memory, and the order of floating-point
// sums is the schedule's: a default variant must not use those.
#pragma once
#include <atomic>
#include <type_traits>

#include "kernels/simt/launch.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Adds value and returns what was there before.
template <class T>
__device__ inline T atomic_add(T* target, std::type_identity_t<T> value) {
#ifdef __CUDACC__
  return atomicAdd(target, value);
#else
  return std::atomic_ref<T>(*target).fetch_add(value, std::memory_order_relaxed);
#endif
}

// Keeps the larger integer and returns what was there before.
template <class T>
__device__ inline T atomic_max(T* target, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
#ifdef __CUDACC__
  return atomicMax(target, value);
#else
  std::atomic_ref<T> ref(*target);
  T old = ref.load(std::memory_order_relaxed);
  while (old < value && !ref.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
