#include "kernels/base/device_name.h"

#include <array>
#include <fstream>

namespace tenon {
namespace {

std::array<std::string (*)(), 3>& names() {
  static std::array<std::string (*)(), 3> filed{};
  return filed;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

const RegisterDeviceName cpu(Device::cpu, processor);
const RegisterDeviceName simt(Device::simt, [] { return std::string("simt"); });

}  // namespace

RegisterDeviceName::RegisterDeviceName(Device device, std::string (*name)()) {
  names()[static_cast<size_t>(device)] = name;
}

std::string device_name(Device device) {
  const auto name = names()[static_cast<size_t>(device)];
  check(name != nullptr, "this build has no ", device, " device");
  return name();
}

}  // namespace tenon
