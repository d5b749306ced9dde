// What a device is called by those who made it, "NVIDIA H100 80GB HBM3": results that were measured on
// another one do not hold for it.
#pragma once
#include <string>

#include "kernels/base/device.h"

namespace tenon {

std::string device_name(Device device);  // throws where the build lacks the device

struct RegisterDeviceName {
  RegisterDeviceName(Device device, std::string (*name)());
};

}  // namespace tenon
