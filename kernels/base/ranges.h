// Named ranges in the timeline of a device maker's own tools: NVTX for Nsight Systems and Nsight Compute.
#pragma once
#include "kernels/base/device.h"

namespace tenon {

struct RangeBackend {
  void (*push)(const char* name);  // of the calling thread; nested
  void (*pop)();
};

// A device with such tools files its functions at start-up.
struct RegisterRanges {
  RegisterRanges(Device device, RangeBackend backend);
};
const RangeBackend* range_backend(Device device);  // null where there is none

}  // namespace tenon
