// How many blocks of a kernel fit on a streaming multiprocessor at a time, from what ptxas says it needs.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tenon {

struct Occupancy {
  int64_t blocks = 0;      // on one multiprocessor; 0: a block does not fit
  double share = 0;        // of the warps that the multiprocessor can hold
  std::string limited_by;  // "registers", "shared memory", "warps" or "blocks": what allows the fewest
};

// architecture: "sm_80" or "sm_90a"; throws for others. registers: of a thread. shared_bytes: of a block,
// static and dynamic, with as much of the L1 cache as they can use.
Occupancy occupancy(std::string_view architecture, int64_t registers, int64_t threads, int64_t shared_bytes);

}  // namespace tenon
