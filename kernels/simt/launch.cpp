// The limits of a launch on sm_80 and later; shared memory up to what sm_90 offers.
#include "kernels/simt/launch.h"

#include "kernels/base/error.h"

namespace tenon {

std::string to_string(const Here& here) { return str(here.file, ":", here.line); }

void check_launch(const LaunchConfig& config) {
  const Dim3& grid = config.grid;
  const Dim3& block = config.block;
  check(
      grid.x >= 0 && grid.y >= 0 && grid.z >= 0 && grid.x <= INT32_MAX && grid.y <= 65535 && grid.z <= 65535,
      "a grid of ", grid.x, " x ", grid.y, " x ", grid.z,
      " blocks is beyond 2^31-1 x 65535 x 65535, launched at ", config.where);
  check(block.x > 0 && block.y > 0 && block.z > 0 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
            block.count() <= 1024,
        "a block of ", block.x, " x ", block.y, " x ", block.z,
        " threads is not one of 1 to 1024, launched at ", config.where);
  check(config.shared_bytes <= 227 * 1024, config.shared_bytes,
        " bytes of shared memory are more than the 227 KB of a block, launched at ", config.where);
  check(config.cluster >= 1 && config.cluster <= 8 && grid.x % config.cluster == 0, "a cluster of ",
        config.cluster, " blocks is not one of 1 to 8 that divides the grid's ", grid.x,
        " blocks along x, launched at ", config.where);
  check(config.cluster == 1 || !config.cooperative,
        "a launch is cooperative or has clusters, not both, launched at ", config.where);
}

}  // namespace tenon
