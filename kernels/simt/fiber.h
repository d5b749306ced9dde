// Fibers: a stack and a switch of about ten nanoseconds (Boost.Context's assembly). A fiber is left by
// switching away for good; nothing on its stack is unwound then.
#pragma once
#include <cstddef>

namespace tenon::simt {

struct Fiber {
  static constexpr size_t stack_bytes = size_t{64} << 10;

  void* context = nullptr;     // where it goes on
  void (*entry)() = nullptr;   // where it starts; must never return
  std::byte* stack = nullptr;  // lowest address; null for the OS thread's own
#if defined(__SANITIZE_THREAD__)
  void* identity = nullptr;
#elif defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t size = 0;
#endif
};

// Gives the fiber the index-th stack of this OS thread, below which a page traps an overflow.
void place_fiber(Fiber& fiber, size_t index);
// The next switch to the fiber calls its entry.
void prepare_fiber(Fiber& fiber);
// Goes on with `to`; returns when something switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

}  // namespace tenon::simt
