#include "tools/machine.h"

#include <sys/utsname.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "kernels/base/device_name.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/speed.h"

namespace tenon {

extern const char* const source_revision;  // cmake/revision.cmake writes it at each build

namespace {

std::string date() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

}  // namespace

nlohmann::json machine_and_build() {
  utsname system{};
  uname(&system);
  return {{"date", date()},
          {"machine", system.machine},
          {"system", str(system.sysname, " ", system.release)},
          {"processor", device_name(Device::cpu)},
          {"threads", thread_count()},
          {"last_level_cache_bytes", last_level_cache_bytes()},
          {"compiler", TENON_COMPILER},
          {"flags", TENON_FLAGS},
          {"revision", source_revision},
          {"dirty", std::string_view(source_revision).ends_with("-dirty")}};
}

}  // namespace tenon
