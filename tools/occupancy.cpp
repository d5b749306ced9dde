#include "tools/occupancy.h"

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"

namespace tenon {
namespace {

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability" (8.0 and 9.0).
struct Limits {
  std::string_view architecture;
  int64_t warps, blocks, registers, shared_bytes;  // of a multiprocessor
  int64_t block_shared_bytes;                      // of a block, at most
};
constexpr Limits limits[] = {{"sm_80", 64, 32, 65536, 164 * 1024, 163 * 1024},
                             {"sm_90a", 64, 32, 65536, 228 * 1024, 227 * 1024}};
constexpr int64_t reserved_shared_bytes = 1024;  // of each block, by the system; the same chapter

// How the hardware hands them out, as NVIDIA's cuda_occupancy.h has it for these architectures.
constexpr int64_t register_unit = 256;  // of a warp
constexpr int64_t shared_unit = 128;
constexpr int64_t partitions = 4;  // of a multiprocessor, each with a quarter of the registers

constexpr int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Occupancy occupancy(std::string_view architecture, int64_t registers, int64_t threads, int64_t shared_bytes) {
  const auto* found = std::find_if(std::begin(limits), std::end(limits),
                                   [&](const Limits& each) { return each.architecture == architecture; });
  check(found != std::end(limits), "the limits of ", architecture,
        " are not known; known are sm_80 and sm_90a");
  const int64_t warps = (threads + 31) / 32;
  const int64_t warp_registers = round_up(32 * std::max<int64_t>(registers, 1), register_unit);
  const bool fits = registers <= 255 && shared_bytes <= found->block_shared_bytes &&
                    warp_registers * round_up(warps, partitions) <= found->registers;
  const std::pair<int64_t, const char*> allowed[] = {
      {found->blocks, "blocks"},
      {found->warps / warps, "warps"},
      {found->registers / partitions / warp_registers * partitions / warps, "registers"},
      {found->shared_bytes / round_up(shared_bytes + reserved_shared_bytes, shared_unit), "shared memory"}};
  const auto fewest = *std::min_element(std::begin(allowed), std::end(allowed),
                                        [](const auto& a, const auto& b) { return a.first < b.first; });
  if (!fits) return {0, 0, shared_bytes > found->block_shared_bytes ? "shared memory" : "registers"};
  return {fewest.first, static_cast<double>(fewest.first * warps) / static_cast<double>(found->warps),
          fewest.second};
}

}  // namespace tenon
