// The caching allocator, and the host's own memory, which the cpu and simt devices share the code of.
#include "kernels/base/memory.h"

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "kernels/base/index_fault.h"
#include "kernels/base/stream.h"

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

const MemoryBackend host_backend{
    .allocate = allocate_on_host,
    .free = [](void* block, size_t) { std::free(block); },
    .copy = [](void* target, const void* source, size_t bytes) { std::memcpy(target, source, bytes); },
    .fill_zero = [](void* block, size_t bytes) { std::memset(block, 0, bytes); },
    .synchronize = [](void*) {},
};
const RegisterMemory cpu_memory{Device::cpu, host_backend};
const RegisterMemory simt_memory{Device::simt, host_backend};

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
    block = backend.allocate(capacity);
    if (!block) {
      free_kept(device, from);
      block = backend.allocate(capacity);
    }
    check(block != nullptr, "out of memory on ", device, ": ", bytes, " bytes were asked for while ",
          from.stats.in_use, " are in use; lower --batch-size or --max-length");
    ++from.stats.system_calls;
  }
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

void copy(void* target, Device target_device, const void* source, Device source_device, size_t bytes) {
  if (bytes == 0) return;
  const Device mover = target_device == Device::cuda ? target_device : source_device;
  memory_backend(mover).copy(target, source, bytes);
  if (target_device == Device::cpu) throw_index_fault(source_device);
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
  memory_backend(device_).synchronize(handle_);
  throw_index_fault(device_);
}

Stream& Stream::current(Device device) {
  memory_backend(device);
  static thread_local std::array<Stream, 3> streams{Stream(Device::cpu), Stream(Device::cuda),
                                                    Stream(Device::simt)};
  return streams[static_cast<int>(device)];
}

}  // namespace tenon
