// Ref-counted bytes on one device. They return to the caching allocator of that device, or belong to someone
// else: a file that is mapped into memory.
#pragma once
#include <functional>
#include <memory>

#include "kernels/base/memory.h"

namespace tenon {

class Storage {
 public:
  // Tells the owner that the bytes are not needed for now, since they were packed elsewhere.
  using ReleasePages = std::function<void(const void* begin, size_t bytes)>;

  Storage(Device device, size_t bytes) : device_(device), buffer_(device, bytes), data_(buffer_.data()) {}
  // Host memory that stays valid while owner lives.
  Storage(void* data, std::shared_ptr<const void> owner, ReleasePages release)
      : device_(Device::cpu), data_(data), owner_(std::move(owner)), release_(std::move(release)) {}

  Device device() const { return device_; }
  void* data() const { return data_; }
  void release_pages(const void* begin, size_t bytes) const {
    if (release_) release_(begin, bytes);
  }

 private:
  Device device_;
  Buffer buffer_;
  void* data_;
  std::shared_ptr<const void> owner_;
  ReleasePages release_;
};

}  // namespace tenon
