// Boost.Context's jump, announced to AddressSanitizer where the build has it.
#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <memory>
#include <vector>

#include "kernels/base/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tenon::simt {
namespace {

constexpr size_t guard_bytes = 4096;

struct Unmap {
  void operator()(std::byte* mapping) const { munmap(mapping, guard_bytes + Fiber::stack_bytes); }
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

std::byte* fiber_stack(size_t index) {
  thread_local std::vector<std::unique_ptr<std::byte, Unmap>> stacks;
  while (stacks.size() <= index) {
    void* mapping = mmap(nullptr, guard_bytes + Fiber::stack_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(mapping != MAP_FAILED, "simt: the system has no memory for the stacks of a block's threads");
    stacks.emplace_back(static_cast<std::byte*>(mapping));
    mprotect(mapping, guard_bytes, PROT_NONE);
  }
  return stacks[index].get() + guard_bytes;
}

void prepare_fiber(Fiber& fiber) {
  fiber.context =
      boost::context::detail::make_fcontext(fiber.stack + Fiber::stack_bytes, Fiber::stack_bytes, start);
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
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
  land(boost::context::detail::jump_fcontext(to.context, &jump));
}

}  // namespace tenon::simt
