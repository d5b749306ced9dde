// What a device can do, measured on it, and what it cannot exceed: by these the figures of a bench are
// judged.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/device.h"
#include "kernels/base/dtype.h"

namespace tenon {

// No run is faster. 0: unknown, nothing is too fast.
struct Ceiling {
  double read_bytes_per_second = 0;  // from memory, past the caches
  double flops = 0;                  // a second, in products of the element type
  std::string from;                  // how it is known
};

// What a device files, each where it computes nothing but this. A device without is not timed.
struct SpeedBackend {
  double (*copy_bytes_per_second)();  // measured, read plus written, of blocks far beyond the caches
  Ceiling (*ceiling)(DType);          // a measured one is measured again at each call
  double (*clock_loop)();   // seconds of a fixed loop whose time is that of a number of clock cycles
  size_t (*cache_bytes)();  // of the last cache before memory
  // Keeps the queue busy, so that what is enqueued next starts without waiting for the host; null where calls
  // have finished when they return.
  void (*hold)(void* stream_handle, double seconds);
  std::vector<std::pair<std::string, std::string>> (*facts)();  // for reports: clocks, driver
};

struct RegisterSpeed {
  RegisterSpeed(Device device, SpeedBackend backend);
};

bool can_be_timed(Device device);
const SpeedBackend& speed_backend(Device device);  // throws where the device is not timed

// Measured once per process, when first asked for; all threads at work.
double measured_copy(Device device);                  // bytes a second, read plus written
double measured_product(Device device, DType dtype);  // operations a second of the default variant of matmul
// The highest that was measured so far in this process; `again` measures once more.
Ceiling ceiling(Device device, DType dtype, bool again = false);

}  // namespace tenon
