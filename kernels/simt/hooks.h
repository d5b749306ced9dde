// The seam between the emulator and the memory hooks that the compiler plants in kernels.
#pragma once
#include <cstddef>

// Makes a thread-local variable one instruction to read. In return all such variables of the library, 600
// bytes, must fit into what a program keeps for libraries that it loads while it runs (glibc: some 1600).
// CUDA's runtime, which the library of a build for cuda holds, would have them need 12 KB.
#ifdef TENON_HOLDS_CUDA_RUNTIME
#define TENON_FAST_THREAD_LOCAL
#else
#define TENON_FAST_THREAD_LOCAL [[gnu::tls_model("initial-exec")]]
#endif

namespace tenon::simt {

// The stack of the fiber that runs a kernel; null wherever the running code is not a kernel's. Hooks look at
// nothing else first: an access outside kernels, or to the thread's own stack, costs a compare.
TENON_FAST_THREAD_LOCAL extern constinit thread_local const std::byte* kernel_stack;

// Code of the emulator itself is not a kernel's, even where it was called from one.
class HostScope {
 public:
  HostScope() : stack_(kernel_stack) { kernel_stack = nullptr; }
  ~HostScope() { kernel_stack = stack_; }
  HostScope(const HostScope&) = delete;
  HostScope& operator=(const HostScope&) = delete;

 private:
  const std::byte* stack_;
};

}  // namespace tenon::simt
