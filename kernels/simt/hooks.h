// The seam between the emulator and the memory hooks that the compiler plants in kernels.
#pragma once
#include <cstddef>

#include "kernels/simt/memory_check.h"

namespace tenon::simt {

// The stack of the fiber that runs a kernel; null wherever the running code is not a kernel's. Hooks look at
// nothing else first: an access outside kernels, or to the thread's own stack, costs a compare.
extern thread_local const std::byte* kernel_stack;

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

// Ends the launch if the access is wrong. Never throws: the compiler takes hooks for functions that cannot.
void judge(const Access& access);

}  // namespace tenon::simt
