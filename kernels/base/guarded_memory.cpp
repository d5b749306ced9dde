#include "kernels/base/guarded_memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "kernels/base/error.h"

namespace tenon {
namespace {

constexpr size_t page = 4096, alignment = 64;
constexpr uintptr_t free_place = 0, taken_place = 1;

// What the signal handler may look at. begin is written last, and forgotten first.
struct Place {
  std::atomic<uintptr_t> begin{free_place};
  std::atomic<uintptr_t> end{0}, touched{0};
  std::atomic<bool> written{false};
};

std::array<Place, 4096> places;
struct sigaction before_ours;
std::mutex watch_mutex;
int watches = 0;

void on_fault(int, siginfo_t* fault, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(fault->si_addr);
  for (Place& place : places) {
    const uintptr_t begin = place.begin.load(std::memory_order_acquire), end = place.end.load();
    if (begin <= taken_place || address < begin || address >= end) continue;
    const bool write = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & 2;
    uintptr_t none = 0;
    if (place.touched.compare_exchange_strong(none, address)) place.written = write;
    mprotect(reinterpret_cast<void*>(address / page * page), page, PROT_READ | PROT_WRITE);
    return;  // the access is repeated, and succeeds
  }
  sigaction(SIGSEGV, &before_ours,
            nullptr);  // none of ours: the repeated access meets whoever was there before
}

size_t take_place() {
  for (size_t i = 0; i < places.size(); ++i) {
    uintptr_t expected = free_place;
    if (places[i].begin.compare_exchange_strong(expected, taken_place)) return i;
  }
  fail("over ", places.size(), " tensors cannot be judged at once");
}

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, size_t before) : bytes_(bytes) {
  const size_t aligned = round_up(bytes, alignment), inner = round_up(before + aligned, page);
  mapped_bytes_ = inner + 2 * page;
  void* mapped = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(mapped != MAP_FAILED, "memory is exhausted: ", mapped_bytes_, " bytes were asked for");
  mapped_ = static_cast<char*>(mapped);
  check(mprotect(mapped_ + page, inner, PROT_READ | PROT_WRITE) == 0, "memory is exhausted");
  data_ = mapped_ + page + inner - aligned;
  after_ = aligned - bytes;
  place_ = take_place();
  Place& place = places[place_];
  place.touched = 0;
  place.end = reinterpret_cast<uintptr_t>(mapped_) + mapped_bytes_;
  place.begin.store(reinterpret_cast<uintptr_t>(mapped_), std::memory_order_release);
}

GuardedMemory::GuardedMemory(GuardedMemory&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)),
      data_(other.data_),
      mapped_bytes_(other.mapped_bytes_),
      bytes_(other.bytes_),
      after_(other.after_),
      place_(other.place_) {}

GuardedMemory::~GuardedMemory() {
  if (!mapped_) return;
  places[place_].begin.store(free_place, std::memory_order_release);
  munmap(mapped_, mapped_bytes_);
}

std::string GuardedMemory::touched() const {
  const uintptr_t address = places[place_].touched;
  if (address == 0) return "";
  return str("was ", places[place_].written ? "written" : "read", " at byte ",
             static_cast<int64_t>(address) - reinterpret_cast<int64_t>(data_), " of ", bytes_);
}

WatchGuards::WatchGuards() {
  const std::lock_guard lock(watch_mutex);
  if (watches++ > 0) return;
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &ours, &before_ours);
}

WatchGuards::~WatchGuards() {
  const std::lock_guard lock(watch_mutex);
  if (--watches == 0) sigaction(SIGSEGV, &before_ours, nullptr);
}

}  // namespace tenon
