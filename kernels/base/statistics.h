// What a handful of noisy timings says: quantiles, and by how much one side is slower than the other.
#pragma once
#include <cstdint>
#include <vector>

namespace tenon {

// The value below which a share of the samples lies, 0 to 1, interpolated.
double quantile(std::vector<double> samples, double share);

struct Interval {
  double estimate = 0, low = 0, high = 0;
  bool holds(double value) const { return low <= value && value <= high; }
};

// Of the ratio first / second of two sides that took turns: the median of the ratios of their rounds, with an
// interval that holds the true one in 99 of 100 cases. Rounds that follow one another have noise in common,
// so the rounds are drawn again in blocks (circular block bootstrap: Politis and Romano 1992) of the cube
// root of their number; and since few blocks tell little of their own spread, the interval is widened as
// Student's t is against the normal distribution. Both sides have one sample, above 0, in each of at least
// eight rounds.
Interval paired_ratio(const std::vector<double>& first, const std::vector<double>& second, uint64_t seed = 1);

// The same of sides that were measured at different times: the ratio of their medians, each drawn by itself.
// What lasted as long as a measurement cannot be seen in it.
Interval unpaired_ratio(const std::vector<double>& first, const std::vector<double>& second,
                        uint64_t seed = 1);

// By how much the medians of five successive parts of the samples differ at most: 0.05 for 5 %. Of fewer than
// ten samples: 0.
double drift(const std::vector<double>& samples);

}  // namespace tenon
