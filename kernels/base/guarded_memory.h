// Host memory between two pages that must not be touched: whatever reads or writes there is noted by the
// address, and goes on as if the pages were its own, so that worker threads need no way out. For judging
// kernels of the cpu device; the simt device sees every access by itself.
#pragma once
#include <cstddef>
#include <string>

namespace tenon {

class GuardedMemory {
 public:
  // At least `before` bytes, then `bytes` aligned to 64, whose end is the page's or less than 64 before it.
  GuardedMemory(size_t bytes, size_t before);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&& other) noexcept;
  GuardedMemory(const GuardedMemory&) = delete;

  char* data() const { return data_; }
  size_t after() const { return after_; }  // bytes between the end and the page that must not be touched

  // The first touch so far: empty, or "was read at byte 4096 of 4096".
  std::string touched() const;

 private:
  char *mapped_ = nullptr, *data_ = nullptr;
  size_t mapped_bytes_ = 0, bytes_ = 0, after_ = 0, place_ = 0;
};

// Takes SIGSEGV for the time of its life; faults elsewhere go to whoever had it before.
class WatchGuards {
 public:
  WatchGuards();
  ~WatchGuards();
  WatchGuards(const WatchGuards&) = delete;
};

}  // namespace tenon
