// A queue of work on one device. On cpu and simt every call has finished when it returns.
#pragma once
#include "kernels/base/device.h"

namespace tenon {

class Stream {
 public:
  explicit Stream(Device device, void* handle = nullptr) : device_(device), handle_(handle) {}

  Device device() const { return device_; }
  void* handle() const { return handle_; }  // cudaStream_t on cuda, null elsewhere
  void synchronize() const;                 // throws for what kernels have found: see index_fault.h

  // The stream that operations of this thread use. Throws where the build or the machine lacks the device.
  static Stream& current(Device device);

 private:
  Device device_;
  void* handle_;
};

}  // namespace tenon
