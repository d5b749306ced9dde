// One reserved range of addresses, whose pages are out of reach but while the device is at work. Between
// blocks lies a gap, so that an index past a block's end is not one of the next block.
#include "kernels/simt/device_memory.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "kernels/base/memory.h"
#include "kernels/simt/locate.h"

namespace tenon::simt {
namespace {

// A sanitizer has signal handlers and a shadow of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool guarded = false;
#else
constexpr bool guarded = true;
#endif

class Arena {
 public:
  static Arena& get() {
    static auto& arena = *new Arena;  // for statics that give memory back at exit
    return arena;
  }

  void* allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes = with_gap(bytes);
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      const auto [begin, size] = *hole;
      if (size < bytes) continue;
      holes_.erase(hole);
      if (size > bytes) holes_.emplace(begin + bytes, size - bytes);
      return begin;
    }
    if (end_ + bytes > begin_ + reserved) return nullptr;
    std::byte* block = end_;
    end_ += bytes;
    protect();
    return block;
  }

  void free(void* block, size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto hole = holes_.emplace(static_cast<std::byte*>(block), with_gap(bytes)).first;
    if (const auto next = std::next(hole);
        next != holes_.end() && hole->first + hole->second == next->first) {
      hole->second += next->second;
      holes_.erase(next);
    }
    if (hole != holes_.begin())
      if (const auto previous = std::prev(hole); previous->first + previous->second == hole->first) {
        previous->second += hole->second;
        holes_.erase(hole);
        hole = previous;
      }
    give_back(hole->first, hole->second);
  }

  void open(int change) {
    const std::lock_guard lock(mutex_);
    const bool before = openers_ > 0;
    openers_ += change;
    if (before != (openers_ > 0)) protect();
  }

  bool holds(const void* address) const { return begin_ <= address && address < begin_ + reserved; }

 private:
  static constexpr size_t reserved = size_t{1} << 38, page = 4096, gap = 64;

  Arena() {
    void* range = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(range != MAP_FAILED, "the system has no addresses for the memory of the simt device");
    begin_ = end_ = static_cast<std::byte*>(range);
    if (guarded) explain_host_access();
  }

  static size_t with_gap(size_t bytes) { return (bytes + 63) / 64 * 64 + gap; }

  void protect() const {
    const size_t used = (static_cast<size_t>(end_ - begin_) + page - 1) / page * page;
    mprotect(begin_, used, !guarded || openers_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
  }

  // The whole pages of a hole.
  static void give_back(std::byte* begin, size_t bytes) {
    const auto first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
    const auto last = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }

  std::mutex mutex_;
  std::byte *begin_, *end_;             // of what was ever handed out
  std::map<std::byte*, size_t> holes_;  // in between, that can be handed out again
  int openers_ = 0;
};

// The innermost caller with a known line, else the innermost one.
std::string caller_of_fault() {
  void* frames[16];
  const int count = backtrace(frames, std::size(frames));
  std::string first;
  for (int i = 3; i < count; ++i) {  // past this function, the handler and its trampoline
    const std::string place = locate(frames[i]);
    if (first.empty()) first = place;
    if (place.find("+0x") == place.npos) return place;
  }
  return first;
}

struct sigaction before;

void on_fault(int, siginfo_t* info, void*) {
  if (Arena::get().holds(info->si_addr)) {
    const std::string text = str("tenon: simt: host code touched the device's memory, at ", caller_of_fault(),
                                 "; with a GPU it could not, so copy what it needs\n");
    if (write(STDERR_FILENO, text.data(), text.size()) < 0) _exit(134);
    _exit(134);
  }
  sigaction(SIGSEGV, &before, nullptr);  // and the same instruction faults again
}

const RegisterMemory registered{Device::simt,
                                {.allocate = [](size_t bytes) { return Arena::get().allocate(bytes); },
                                 .free = [](void* block, size_t bytes) { Arena::get().free(block, bytes); },
                                 .copy =
                                     [](void* target, const void* source, size_t bytes) {
                                       const DeviceAccess access;
                                       std::memcpy(target, source, bytes);
                                     },
                                 .upload =
                                     [](void* target, const void* source, size_t bytes) {
                                       const DeviceAccess access;
                                       std::memcpy(target, source, bytes);
                                     },
                                 .download =
                                     [](void* target, const void* source, size_t bytes) {
                                       const DeviceAccess access;
                                       std::memcpy(target, source, bytes);
                                     },
                                 .fill_zero =
                                     [](void* block, size_t bytes) {
                                       const DeviceAccess access;
                                       std::memset(block, 0, bytes);
                                     },
                                 .synchronize = [](void*) {},
                                 .spoil =
                                     [](void* block, size_t bytes) {
                                       const DeviceAccess access;
                                       std::memset(block, 0xff, bytes);
                                     }}};

}  // namespace

void explain_host_access() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &before);
}

DeviceAccess::DeviceAccess() { Arena::get().open(1); }
DeviceAccess::~DeviceAccess() { Arena::get().open(-1); }

}  // namespace tenon::simt
