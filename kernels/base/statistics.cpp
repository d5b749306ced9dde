#include "kernels/base/statistics.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace tenon {
namespace {

constexpr size_t draws = 2000, fewest_rounds = 8;
constexpr double outside = 0.005;  // of the interval, on each side

double interpolated(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

double median(std::vector<double>& samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  if (samples.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(samples.begin(), middle)) / 2;
}

std::vector<double> logarithms(const std::vector<double>& samples) {
  std::vector<double> logs;
  for (double each : samples) {
    check(each > 0, "a ratio is of times above 0, not ", each);
    logs.push_back(std::log(each));
  }
  return logs;
}

// Medians of the samples drawn again in blocks.
class Bootstrap {
 public:
  Bootstrap(std::vector<double> samples, uint64_t seed)
      : samples_(std::move(samples)), random_{seed, 0, operation_key("bootstrap")} {
    check(samples_.size() >= fewest_rounds, "an interval needs ", fewest_rounds, " rounds or more");
    block_ = static_cast<size_t>(std::lround(std::cbrt(static_cast<double>(samples_.size()))));
    drawn_.resize(samples_.size());
  }

  double blocks() const { return static_cast<double>(samples_.size()) / static_cast<double>(block_); }

  double next() {
    for (size_t filled = 0; filled < drawn_.size(); filled += block_) {
      const size_t start = random_(count_++) % samples_.size();
      for (size_t i = 0; i < block_ && filled + i < drawn_.size(); ++i)
        drawn_[filled + i] = samples_[(start + i) % samples_.size()];
    }
    return median(drawn_);
  }

 private:
  std::vector<double> samples_, drawn_;
  RandomKey random_;
  size_t block_;
  uint64_t count_ = 0;
};

// Student's t of so many degrees of freedom over the normal distribution, where 0.5 % are beyond (the
// expansion of Abramowitz and Stegun 26.7.5).
double widening(double freedom) {
  constexpr double z = 2.5758, z3 = z * z * z, z5 = z3 * z * z;
  return 1 + ((z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom)) / z;
}

Interval of_logarithms(double estimate, std::vector<double>& medians, double blocks) {
  std::sort(medians.begin(), medians.end());
  const double wider = widening(blocks - 1);
  const auto bound = [&](double share) {
    return std::exp(estimate + wider * (interpolated(medians, share) - estimate));
  };
  return {std::exp(estimate), bound(outside), bound(1 - outside)};
}

}  // namespace

double quantile(std::vector<double> samples, double share) {
  check(!samples.empty(), "there is no quantile of nothing");
  std::sort(samples.begin(), samples.end());
  return interpolated(samples, share);
}

Interval paired_ratio(const std::vector<double>& first, const std::vector<double>& second, uint64_t seed) {
  check(first.size() == second.size(), "sides that took turns have as many samples each, not ", first.size(),
        " and ", second.size());
  std::vector<double> ratios = logarithms(first);
  const std::vector<double> others = logarithms(second);
  for (size_t i = 0; i < ratios.size(); ++i) ratios[i] -= others[i];
  Bootstrap bootstrap(ratios, seed);
  std::vector<double> medians(draws);
  for (double& each : medians) each = bootstrap.next();
  return of_logarithms(median(ratios), medians, bootstrap.blocks());
}

Interval unpaired_ratio(const std::vector<double>& first, const std::vector<double>& second, uint64_t seed) {
  std::vector<double> one = logarithms(first), other = logarithms(second);
  Bootstrap of_one(one, seed), of_other(other, seed + 1);
  std::vector<double> medians(draws);
  for (double& each : medians) each = of_one.next() - of_other.next();
  return of_logarithms(median(one) - median(other), medians, std::min(of_one.blocks(), of_other.blocks()));
}

double drift(const std::vector<double>& samples) {
  constexpr size_t parts = 5;
  if (samples.size() < 2 * parts) return 0;
  double least = INFINITY, most = 0;
  for (size_t part = 0; part < parts; ++part) {
    std::vector<double> of_part(
        samples.begin() + static_cast<std::ptrdiff_t>(part * samples.size() / parts),
        samples.begin() + static_cast<std::ptrdiff_t>((part + 1) * samples.size() / parts));
    const double middle = median(of_part);
    least = std::min(least, middle);
    most = std::max(most, middle);
  }
  return most / least - 1;
}

}  // namespace tenon
