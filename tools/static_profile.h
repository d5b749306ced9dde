// What nvcc made of kernels, from the file that tools/ptxas writes: registers, instructions by kind, and with
// the size of a launch how many blocks run together.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/simt/counts.h"

namespace tenon {

class StaticProfile {
 public:
  StaticProfile() = default;                        // knows nothing
  explicit StaticProfile(const std::string& file);  // throws where it is not such a file

  // {"sm_80": {"registers", "stack", "local", "shared", "mix", "blocks", "occupancy", "limited_by"},
  // "sm_90a": …}: an architecture is missing where the kernel is. By the source file and the kernel's name,
  // else by a name that one source file alone has.
  nlohmann::json of(const std::string& source, const simt::KernelCounts& kernel) const;

 private:
  nlohmann::json kernels_ = nlohmann::json::array();
};

}  // namespace tenon
