// Times the variants of an operation against each other on one case. A variant that is wrong, before the
// timing or on inputs that are put before it while it is timed, gets no figure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/registry.h"

namespace tenon {

struct TimingOptions {
  int runs = 20;                 // timed, of each variant
  double slow_factor = 5;        // a variant this many times slower than the fastest is left out; 0: none is
  uint64_t seed = 1;             // of inputs, and of the iterations that are verified
  size_t most_bytes = 2u << 30;  // of memory for rotating buffers
};

struct VariantTiming {
  size_t variant = 0;           // index in the operation
  std::vector<double> seconds;  // of each run; empty if there is no figure
  std::string why_not;          // why there is none
};

struct CaseTiming {
  Cost cost;
  size_t bytes_rotated = 0;  // by all buffers together
  bool cold = false;         // they exceed the last-level cache
  std::vector<VariantTiming> variants;
};

// All variants on the device that support the case, interleaved: A B A B … Timed by marks in its queue.
CaseTiming time_case(const AnyOperation& operation, DType dtype, size_t case_index, Device device,
                     const TimingOptions& options = {});

// The value below which a share of the samples lies, 0 to 1, interpolated.
double quantile(std::vector<double> samples, double share);

size_t last_level_cache_bytes();

}  // namespace tenon
