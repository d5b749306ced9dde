// The caching allocator, the host's own memory, and what else the devices have in common.
#include "kernels/base/memory.h"

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "kernels/base/event.h"
#include "kernels/base/index_fault.h"

namespace tenon {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

// Sizes are rounded up by at most an eighth, so that batches of similar length share blocks.
size_t size_class(size_t bytes) {
  if (bytes <= 512) return (bytes + 63) / 64 * 64;
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

struct Block {
  size_t requested = 0, capacity = 0;
};

struct Allocator {
  std::mutex mutex;
  std::map<const void*, Block> live;  // ordered: find_block looks up addresses inside blocks
  std::multimap<size_t, void*> kept;  // by capacity
  MemoryStats stats;
  size_t limit = 0;
};

Allocator& allocator(Device device) {
  static auto& allocators = *new std::array<Allocator, 3>;  // for statics that give memory back at exit
  return allocators[static_cast<int>(device)];
}

std::array<std::optional<MemoryBackend>, 3>& backends() {
  static std::array<std::optional<MemoryBackend>, 3> filed;
  return filed;
}

void free_kept(Device device, Allocator& from) {
  for (const auto& [capacity, block] : from.kept) {
    memory_backend(device).free(block, capacity);
    from.stats.cached -= capacity;
  }
  from.kept.clear();
}

void* allocate_on_host(size_t bytes) {
  const size_t alignment = bytes >= huge_page ? huge_page : 64;
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block && alignment == huge_page) madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

void copy_on_host(void* target, const void* source, size_t bytes) { std::memcpy(target, source, bytes); }

// "512 bytes", "1.5 GiB"
std::string readable(size_t bytes) {
  if (bytes < 1024) return str(bytes, " bytes");
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  constexpr std::string_view units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  for (; amount >= 1024 && unit + 1 < std::size(units); ++unit) amount /= 1024;
  return str(std::round(10 * amount) / 10, " ", units[unit]);
}

void* allocate_block(Device device, const Allocator& from, size_t capacity) {
  if (from.limit != 0 && from.stats.in_use + from.stats.cached + capacity > from.limit) return nullptr;
  return memory_backend(device).allocate(capacity);
}

const RegisterMemory cpu_memory{Device::cpu,
                                {.allocate = allocate_on_host,
                                 .free = [](void* block, size_t) { std::free(block); },
                                 .copy = copy_on_host,
                                 .upload = copy_on_host,
                                 .download = copy_on_host,
                                 .fill_zero = [](void* block, size_t bytes) { std::memset(block, 0, bytes); },
                                 .synchronize = [](void*) {}}};

}  // namespace

RegisterMemory::RegisterMemory(Device device, MemoryBackend backend) {
  backends()[static_cast<int>(device)] = backend;
}

bool has_device(Device device) {
  const auto& backend = backends()[static_cast<int>(device)];
  return backend.has_value() && (!backend->missing || backend->missing().empty());
}

const MemoryBackend& memory_backend(Device device) {
  const auto& backend = backends()[static_cast<int>(device)];
  check(backend.has_value(), "this build of tenon has no ", device, " device; use --device cpu");
  if (backend->missing)
    check(backend->missing().empty(), "this machine has no usable ", device, " device (", backend->missing(),
          "); use --device cpu");
  return *backend;
}

void* allocate(Device device, size_t bytes) {
  if (bytes == 0) return nullptr;
  const MemoryBackend& backend = memory_backend(device);
  Allocator& from = allocator(device);
  std::lock_guard lock(from.mutex);
  size_t capacity = size_class(bytes);
  void* block = nullptr;
  // A kept block serves if at most a quarter of it would lie idle.
  if (const auto fit = from.kept.lower_bound(capacity);
      fit != from.kept.end() && fit->first <= capacity + capacity / 3) {
    capacity = fit->first;
    block = fit->second;
    from.kept.erase(fit);
    from.stats.cached -= capacity;
  } else {
    block = allocate_block(device, from, capacity);
    if (!block) {
      free_kept(device, from);
      block = allocate_block(device, from, capacity);
    }
    if (!block)
      fail("out of memory on ", device, ": ", readable(bytes), " were asked for while ",
           readable(from.stats.in_use), " are in use",
           from.limit ? str(" of the ", readable(from.limit), " that TENON_MEMORY_LIMIT allows") : "",
           "; lower --batch-size, --token-budget or --max-length, or raise --accumulate");
    ++from.stats.system_calls;
  }
  if (backend.spoil) backend.spoil(block, capacity);
  from.live.emplace(block, Block{bytes, capacity});
  from.stats.in_use += capacity;
  from.stats.peak = std::max(from.stats.peak, from.stats.in_use);
  return block;
}

void release(Device device, void* block) noexcept {
  if (!block) return;
  Allocator& to = allocator(device);
  std::lock_guard lock(to.mutex);
  const auto found = to.live.find(block);
  if (found == to.live.end()) return;
  const size_t capacity = found->second.capacity;
  to.live.erase(found);
  to.kept.emplace(capacity, block);
  to.stats.in_use -= capacity;
  to.stats.cached += capacity;
}

void release_cached(Device device) {
  Allocator& from = allocator(device);
  std::lock_guard lock(from.mutex);
  free_kept(device, from);
}

MemoryStats memory_stats(Device device) {
  Allocator& of = allocator(device);
  std::lock_guard lock(of.mutex);
  return of.stats;
}

void set_memory_limit(Device device, size_t bytes) {
  Allocator& of = allocator(device);
  std::lock_guard lock(of.mutex);
  of.limit = bytes;
}

void count_synchronisation(Device device) {
  if (device == Device::cpu) return;
  Allocator& of = allocator(device);
  std::lock_guard lock(of.mutex);
  ++of.stats.synchronisations;
}

void copy(void* target, Device target_device, const void* source, Device source_device, size_t bytes) {
  if (bytes == 0) return;
  if (source_device == target_device) return memory_backend(source_device).copy(target, source, bytes);
  if (source_device == Device::cpu) return memory_backend(target_device).upload(target, source, bytes);
  count_synchronisation(source_device);
  memory_backend(source_device).download(target, source, bytes);
  throw_index_fault(source_device);
}

std::optional<std::pair<const void*, size_t>> find_block(Device device, const void* address) {
  Allocator& in = allocator(device);
  std::lock_guard lock(in.mutex);
  auto after = in.live.upper_bound(address);
  if (after == in.live.begin()) return std::nullopt;
  const auto& [start, block] = *--after;
  if (static_cast<const char*>(address) >= static_cast<const char*>(start) + block.capacity)
    return std::nullopt;
  return std::pair(start, block.requested);
}

void Stream::synchronize() const {
  count_synchronisation(device_);
  memory_backend(device_).synchronize(handle_);
  throw_index_fault(device_);
}

Stream& Stream::current(Device device) {
  memory_backend(device);
  static thread_local std::array<Stream, 3> streams{Stream(Device::cpu), Stream(Device::cuda),
                                                    Stream(Device::simt)};
  return streams[static_cast<int>(device)];
}

Event::Event(Device device) : device_(device) {
  if (const EventBackend* events = memory_backend(device).events) handle_ = events->make();
}

Event::~Event() {
  if (handle_) memory_backend(device_).events->free(handle_);
}

void Event::record(const Stream& stream) {
  if (handle_) return memory_backend(device_).events->record(handle_, stream.handle());
  time_ = std::chrono::steady_clock::now();
}

void Event::wait() const {
  count_synchronisation(device_);
  if (handle_) memory_backend(device_).events->wait(handle_);
}

double Event::seconds_since(const Event& earlier) const {
  if (handle_) return memory_backend(device_).events->seconds(earlier.handle_, handle_);
  return std::chrono::duration<double>(time_ - earlier.time_).count();
}

}  // namespace tenon
