// The functions that -fsanitize=thread calls before each memory access, in place of libtsan's. Kernels are
// compiled with that flag, this file is not, and nothing is linked with it.
#include "kernels/simt/hooks.h"

#include "kernels/simt/block_group.h"

namespace tenon::simt {

constinit thread_local const std::byte* kernel_stack = nullptr;

#if TENON_SIMT_HOOKS
bool has_hooks() { return true; }
#else
bool has_hooks() { return false; }
#endif

}  // namespace tenon::simt

#if TENON_SIMT_HOOKS

namespace {

using tenon::simt::AccessKind;

// Ends the launch if the access is wrong. Never throws: the compiler takes hooks for functions that cannot.
inline void see(const void* address, size_t bytes, AccessKind kind, bool aligned, const void* pc,
                bool counted = true) {
  using namespace tenon::simt;
  if (!kernel_stack) return;
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(kernel_stack);
  if (offset < Fiber::stack_bytes) return;
  const HostScope scope;
  running_block->judge({reinterpret_cast<uintptr_t>(address), bytes, kind, aligned, pc, false, counted});
}

}  // namespace

// Macros only because the names of these functions are given.
#define HOOK extern "C" __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

#define PLAIN(bytes)                                                                                    \
  HOOK void __tsan_read##bytes(void* p) { see(p, bytes, AccessKind::read, true, CALLER); }              \
  HOOK void __tsan_write##bytes(void* p) { see(p, bytes, AccessKind::write, true, CALLER); }            \
  HOOK void __tsan_unaligned_read##bytes(void* p) { see(p, bytes, AccessKind::read, false, CALLER); }   \
  HOOK void __tsan_unaligned_write##bytes(void* p) { see(p, bytes, AccessKind::write, false, CALLER); } \
  HOOK void __tsan_volatile_read##bytes(void* p) { see(p, bytes, AccessKind::read, true, CALLER); }     \
  HOOK void __tsan_volatile_write##bytes(void* p) { see(p, bytes, AccessKind::write, true, CALLER); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

HOOK void __tsan_read_range(void* p, size_t bytes) { see(p, bytes, AccessKind::read, false, CALLER); }
HOOK void __tsan_write_range(void* p, size_t bytes) { see(p, bytes, AccessKind::write, false, CALLER); }
HOOK void __tsan_init() {}
HOOK void __tsan_func_entry(void*) {}
HOOK void __tsan_func_exit() {}
HOOK void __tsan_vptr_read(void*) {}
HOOK void __tsan_vptr_update(void*, void*) {}

#define FETCH(bits, type, name, builtin)                                      \
  HOOK type __tsan_atomic##bits##_##name(volatile void* p, type value, int) { \
    see(const_cast<void*>(p), bits / 8, AccessKind::atomic, true, CALLER);    \
    return builtin(static_cast<volatile type*>(p), value, __ATOMIC_SEQ_CST);  \
  }
// The end of an update that began with a load, which was counted.
#define COMPARE(bits, type, name)                                                                 \
  HOOK int __tsan_atomic##bits##_##name(volatile void* p, type* expected, type value, int, int) { \
    see(const_cast<void*>(p), bits / 8, AccessKind::atomic, true, CALLER, false);                 \
    return __atomic_compare_exchange_n(static_cast<volatile type*>(p), expected, value, false,    \
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                       \
  }
#define ATOMIC(bits, type)                                                                                 \
  HOOK type __tsan_atomic##bits##_load(const volatile void* p, int) {                                      \
    see(const_cast<void*>(p), bits / 8, AccessKind::atomic, true, CALLER);                                 \
    return __atomic_load_n(static_cast<const volatile type*>(p), __ATOMIC_SEQ_CST);                        \
  }                                                                                                        \
  HOOK void __tsan_atomic##bits##_store(volatile void* p, type value, int) {                               \
    see(const_cast<void*>(p), bits / 8, AccessKind::atomic, true, CALLER);                                 \
    __atomic_store_n(static_cast<volatile type*>(p), value, __ATOMIC_SEQ_CST);                             \
  }                                                                                                        \
  HOOK type __tsan_atomic##bits##_compare_exchange_val(volatile void* p, type expected, type value, int,   \
                                                       int) {                                              \
    see(const_cast<void*>(p), bits / 8, AccessKind::atomic, true, CALLER, false);                          \
    __atomic_compare_exchange_n(static_cast<volatile type*>(p), &expected, value, false, __ATOMIC_SEQ_CST, \
                                __ATOMIC_SEQ_CST);                                                         \
    return expected;                                                                                       \
  }                                                                                                        \
  COMPARE(bits, type, compare_exchange_strong)                                                             \
  COMPARE(bits, type, compare_exchange_weak)                                                               \
  FETCH(bits, type, exchange, __atomic_exchange_n)                                                         \
  FETCH(bits, type, fetch_add, __atomic_fetch_add)                                                         \
  FETCH(bits, type, fetch_sub, __atomic_fetch_sub)                                                         \
  FETCH(bits, type, fetch_and, __atomic_fetch_and)                                                         \
  FETCH(bits, type, fetch_or, __atomic_fetch_or)                                                           \
  FETCH(bits, type, fetch_xor, __atomic_fetch_xor)                                                         \
  FETCH(bits, type, fetch_nand, __atomic_fetch_nand)
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

HOOK void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
HOOK void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

#endif
