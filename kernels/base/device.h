// Where memory lives and kernels run. simt runs the CUDA sources on the host; its memory is host memory.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/error.h"

namespace tenon {

enum class Device : uint8_t { cpu, cuda, simt };

inline std::string to_string(Device device) {
  constexpr std::string_view names[] = {"cpu", "cuda", "simt"};
  return std::string(names[static_cast<int>(device)]);
}

inline Device parse_device(std::string_view name) {
  for (Device device : {Device::cpu, Device::cuda, Device::simt})
    if (to_string(device) == name) return device;
  fail("unknown device '", name, "'; use cpu, cuda or simt");
}

}  // namespace tenon
