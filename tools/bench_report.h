// The figures of `tenon bench`: as JSON for programs, from which the table for people is printed.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "tools/bench.h"

namespace tenon {

// {"name": "cpu", "copy_gigabytes_per_second" (measured), and what the device says of itself: its processor
// or GPU,
//  clocks, driver}
nlohmann::json report_device(Device device);

// {"op", "case", "dtype", "device", "flops", "bytes", "caches": "cold" or "warm", "bytes_rotated",
// "clock_drift",
//  "clock_loop_ms": [of each round], "product_gflops" (measured), "ceiling",
//  "variants": [{"variant", "default", "verified", and "why_not", or
//    "median_ms", "p10_ms", "p90_ms", "gflops", "gigabytes_per_second", "share_of_copy", "share_of_product",
//    "time_over_default" and its 99 % interval "time_over_default_interval": [low, high], "samples_ms"}]}
nlohmann::json report_case(const BenchCase& work, Device device, const CaseTiming& timing,
                           size_t default_variant);
inline constexpr size_t no_variant = SIZE_MAX;  // where there is no default

void print_device(Device device, DType dtype);
void print_case(const nlohmann::json& result);
void print_legend();

// A clock that drifts by more than this share is said in words.
inline constexpr double steady_clock_drift = 0.03;

}  // namespace tenon
