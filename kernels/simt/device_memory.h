// The simt device's memory. It is the host's, but only a kernel and the device's own copies may touch it:
// host code that does would crash with a GPU, and does so here, with a message.
#pragma once

namespace tenon::simt {

// Opens all of the device's memory while one of these lives.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) : DeviceAccess() {}
  DeviceAccess& operator=(const DeviceAccess&) { return *this; }
};

// Takes SIGSEGV for that message. Done with the first block; again where a test framework has taken it since.
void explain_host_access();

}  // namespace tenon::simt
