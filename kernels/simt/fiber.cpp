// Boost.Context's jump, announced to AddressSanitizer or ThreadSanitizer where the build has one.
#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <deque>

#include "kernels/base/error.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#elif defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tenon::simt {
namespace {

constexpr size_t guard_bytes = 4096;

// A stack, kept until its OS thread ends.
class Stack {
 public:
  Stack()
      : mapping_(
            static_cast<std::byte*>(mmap(nullptr, guard_bytes + Fiber::stack_bytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    check(mapping_ != MAP_FAILED, "simt: the system has no memory for the stacks of a block's threads");
    mprotect(mapping_, guard_bytes, PROT_NONE);
#if defined(__SANITIZE_THREAD__)
    identity = __tsan_create_fiber(0);
#endif
  }
  ~Stack() {
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(identity);
#endif
    munmap(mapping_, guard_bytes + Fiber::stack_bytes);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  std::byte* lowest() const { return mapping_ + guard_bytes; }
  void* identity = nullptr;  // ThreadSanitizer's

 private:
  std::byte* mapping_;
};

// What travels with a jump. It lies on the stack of the fiber that left.
struct Jump {
  Fiber* from;
  Fiber* to;
};

void land(boost::context::detail::transfer_t arrival) {
  const Jump& jump = *static_cast<const Jump*>(arrival.data);
  jump.from->context = arrival.fctx;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(jump.to->fake_stack, &bottom, &size);
  jump.from->bottom = bottom;
  jump.from->size = size;
#endif
}

void start(boost::context::detail::transfer_t arrival) {
  land(arrival);
  static_cast<const Jump*>(arrival.data)->to->entry();
}

}  // namespace

void place_fiber(Fiber& fiber, size_t index) {
  thread_local std::deque<Stack> stacks;
  while (stacks.size() <= index) stacks.emplace_back();
  fiber.stack = stacks[index].lowest();
#if defined(__SANITIZE_THREAD__)
  fiber.identity = stacks[index].identity;
#endif
}

void prepare_fiber(Fiber& fiber) {
  // Stacks start at different cache sets, or the switches of a block would all fight for a few.
  const size_t colour =
      reinterpret_cast<uintptr_t>(fiber.stack) / (guard_bytes + Fiber::stack_bytes) % 61 * 64;
  fiber.context = boost::context::detail::make_fcontext(fiber.stack + Fiber::stack_bytes - colour,
                                                        Fiber::stack_bytes - colour, start);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber.stack,
                                Fiber::stack_bytes);  // left behind by a fiber that never returned
  fiber.fake_stack = nullptr;
  fiber.bottom = fiber.stack;
  fiber.size = Fiber::stack_bytes;
#endif
}

void switch_fiber(Fiber& from, Fiber& to) {
  Jump jump{&from, &to};
#if defined(__SANITIZE_THREAD__)
  if (!from.identity) from.identity = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.identity, 0);
#elif defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
  land(boost::context::detail::jump_fcontext(to.context, &jump));
}

}  // namespace tenon::simt
