// Memory of every device, behind one caching allocator: a block that is given back is kept and handed out
// again, so that a training step in its steady state asks the system for nothing. All work of a device stands
// in one queue, so a block may be given back while kernels that use it are still to run: whatever gets it
// next stands behind them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "kernels/base/device.h"

namespace tenon {

// Marks in a device's queue, where its calls return before they have finished.
struct EventBackend {
  void* (*make)();
  void (*free)(void* event);
  void (*record)(void* event, void* stream_handle);
  void (*wait)(void* event);
  double (*seconds)(void* earlier, void* later);
};

// What a device offers; each device files one at start-up. Blocks are aligned to at least 64 bytes. What the
// device does, it does in the order of the calls.
struct MemoryBackend {
  void* (*allocate)(size_t bytes);  // null when there is no room
  void (*free)(void* block, size_t bytes);
  void (*copy)(void* target, const void* source, size_t bytes);      // within the device
  void (*upload)(void* target, const void* source, size_t bytes);    // the source may change on return
  void (*download)(void* target, const void* source, size_t bytes);  // waits for all that was asked before
  void (*fill_zero)(void* block, size_t bytes);
  void (*synchronize)(void* stream_handle);
  void (*spoil)(void* block, size_t bytes) = nullptr;  // done to memory before it is handed out
  const EventBackend* events = nullptr;                // null: calls have finished when they return
  const std::string& (*missing)() =
      nullptr;  // why this machine lacks the device, or empty; null: it is there
};

struct RegisterMemory {
  RegisterMemory(Device device, MemoryBackend backend);
};

struct MemoryStats {
  size_t in_use = 0;          // bytes handed out
  size_t cached = 0;          // bytes kept for later
  size_t peak = 0;            // largest in_use so far
  uint64_t system_calls = 0;  // blocks asked of the system so far
  // How often the host waited for the device, or would on a GPU: to read from it, or for its queue.
  uint64_t synchronisations = 0;
};

bool has_device(Device device);
const MemoryBackend& memory_backend(Device device);  // throws where the build or machine lacks the device

// At least 64-byte aligned; null for 0 bytes. Throws, naming the sizes, when memory is exhausted.
void* allocate(Device device, size_t bytes);
void release(Device device, void* block) noexcept;
void release_cached(Device device);  // gives all kept blocks back to the system
MemoryStats memory_stats(Device device);
void set_memory_limit(Device device, size_t bytes);  // of all blocks together; 0: what the device has
void count_synchronisation(Device device);
void copy(void* target, Device target_device, const void* source, Device source_device, size_t bytes);

// The live block that holds an address: its start and the bytes that were asked for.
std::optional<std::pair<const void*, size_t>> find_block(Device device, const void* address);

// Scratch memory that is given back at the end of its scope.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device device, size_t bytes) : device_(device), data_(allocate(device, bytes)) {}
  Buffer(Buffer&& other) noexcept : device_(other.device_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { release(device_, data_); }

  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Device device_ = Device::cpu;
  void* data_ = nullptr;
};

}  // namespace tenon
