// Times the variants of an operation against each other on one case. A variant that is wrong before the
// timing, after it, or at timed runs that are drawn by chance gets no figure, and neither does one whose
// answer was there before the clock started, or whose figure is beyond what the machine can do.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/own_shape.h"
#include "kernels/base/speed.h"
#include "kernels/base/statistics.h"

namespace tenon {

inline constexpr int fewest_runs = 20;

// One side of a timing: a variant, or the same one twice.
struct Contender {
  size_t variant = 0;
  double slowdown = 0;  // planted: each run is longer by this share of its time
};

struct TimingOptions {
  int runs = fewest_runs;        // timed, of each variant; not less
  double slow_factor = 5;        // a variant this many times slower than the fastest is left out; 0: none is
  uint64_t seed = 1;             // of inputs, of the runs that are verified, and of the order of each round
  size_t most_bytes = 2u << 30;  // of memory for rotating buffers; but each contender has a set of its own
  std::vector<Contender> contenders;  // empty: every variant that supports the case
  // No run is faster. Asked again when one seems to be, since a measured ceiling may be too low. Null: none.
  std::function<Ceiling(bool again)> ceiling;
};

struct VariantTiming {
  size_t variant = 0;           // index in the operation
  std::vector<double> seconds;  // of its run in each round; empty if there is no figure
  std::string why_not;          // why there is none
};

struct CaseTiming {
  Cost cost;
  size_t bytes_rotated = 0;  // by all buffers together
  bool cold = false;         // they exceed the last-level cache twice
  // Of a fixed loop, in each round. Their drift is that of the clock, or of what else the machine does.
  std::vector<double> clock_seconds;
  std::vector<VariantTiming> variants;
};

// All contenders that support the case, in rounds in which each runs once, in an order drawn for each. Timed
// by marks in the device's queue. Throws where the device cannot be timed.
CaseTiming time_case(const AnyOperation& operation, DType dtype, const AnyCase& of, Device device,
                     const TimingOptions& options = {});
CaseTiming time_case(const AnyOperation& operation, DType dtype, size_t case_index, Device device,
                     const TimingOptions& options = {});

}  // namespace tenon
