// Copies from global to shared memory that go on beside the thread (PTX cp.async, sm_80). A thread closes its
// copies into groups and waits for the oldest ones; then a barrier shows them to others. On the emulator the
// target is NaN until the wait, and a thread that leaves copies behind is an error.
#pragma once
#include <cstdint>

#include "kernels/simt/vector.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Starts a copy of 4, 8 or 16 bytes; both addresses are multiples of that. Only the first valid_bytes are
// read, the rest becomes zero: with 0, source may be any aligned address.
template <int bytes>
__device__ __forceinline__ void copy_async(void* target, const void* source, int valid_bytes = bytes,
                                           [[maybe_unused]] Here here = Here::current()) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
#ifdef __CUDACC__
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(target));
  const auto from = __cvta_generic_to_global(source);
  if constexpr (bytes == 16)  // past L1: nobody else in this block wants it
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(bytes),
                 "r"(valid_bytes)
                 : "memory");
#else
  check_aligned(target, bytes, here);
  check_aligned(source, bytes, here);
  simt::check_shared(target, here);
  if (valid_bytes < 0 || valid_bytes > bytes)
    simt::kernel_fault("an asynchronous copy of more bytes than it has room for", here);
  simt::start_copy(target, source, bytes, valid_bytes);
#endif
}

// Closes this thread's copies since the last call into a group, which may be empty.
__device__ inline void commit_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  simt::commit_copies();
#endif
}

// Waits until at most `pending` of this thread's groups are under way.
template <int pending>
__device__ __forceinline__ void wait_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#else
  simt::wait_copies(pending);
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
