// The intervals of the bench hold what they should as often as they say, on noise like a busy machine's:
// samples that follow one another are slow together, and now and then one is far off.
#include "kernels/base/statistics.h"

#include <cmath>

#include "kernels/base/philox.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

class Noise {
 public:
  explicit Noise(uint64_t seed) : key_{seed, 0, operation_key("noise")} {}

  double uniform() { return (key_(count_++) + 0.5) * 0x1p-32; }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform()); }

 private:
  RandomKey key_;
  uint64_t count_ = 0;
};

struct Sides {
  std::vector<double> first, second;
};

// Rounds of two sides, the first slower by a share. What both have in common wanders by 3 % from round to
// round, what each has alone by 2 %, with a memory of half of it; one run in twenty is interrupted.
Sides rounds(int count, double slowdown, uint64_t seed) {
  Noise noise(seed);
  Sides sides;
  double common = 0, own[2] = {0, 0};
  for (int i = 0; i < count; ++i) {
    common = 0.95 * common + 0.03 * noise.normal();
    for (int side : {0, 1}) {
      own[side] = 0.5 * own[side] + 0.02 * noise.normal();
      const double interruption = noise.uniform() < 0.05 ? 1 + 3 * noise.uniform() : 1;
      const double seconds = 1e-3 * std::exp(common + own[side]) * interruption;
      (side == 0 ? sides.first : sides.second).push_back(side == 0 ? seconds * (1 + slowdown) : seconds);
    }
  }
  return sides;
}

template <class Holds>
int count_of(int comparisons, int count, double slowdown, uint64_t seed, const Holds& holds) {
  int found = 0;
  for (int i = 0; i < comparisons; ++i) {
    const Sides sides = rounds(count, slowdown, seed + static_cast<uint64_t>(i));
    found += holds(paired_ratio(sides.first, sides.second));
  }
  return found;
}

}  // namespace

TEST_CASE("the 99 % interval of a ratio holds the true one, whatever that is") {
  for (const double slowdown : {0.0, 0.05, 1.0})
    for (const int count : {20, 100}) {
      const int held = count_of(100, count, slowdown, 1000,
                                [&](const Interval& ratio) { return ratio.holds(1 + slowdown); });
      INFO("a slowdown of " << slowdown << " in " << count << " rounds: held " << held << " of 100");
      CHECK(held >= 95);
    }
}

TEST_CASE(
    "a slowdown of 5 % is found in a hundred rounds, and an interval is not wider than it needs to be") {
  CHECK(count_of(100, 100, 0.05, 5000, [](const Interval& ratio) { return ratio.low > 1; }) >= 90);
  CHECK(count_of(100, 100, 0, 5000, [](const Interval& ratio) { return ratio.high / ratio.low < 1.05; }) >=
        90);
}

TEST_CASE("the noise that two sides have in common is not taken for a difference") {
  const Sides sides = rounds(200, 0, 7);
  const Interval paired = paired_ratio(sides.first, sides.second);
  const Interval unpaired = unpaired_ratio(sides.first, sides.second);
  CHECK(paired.high / paired.low < unpaired.high / unpaired.low);
}

TEST_CASE("sides that were measured apart are compared by their medians") {
  const Sides slow = rounds(100, 0.5, 1), fast = rounds(100, 0, 2);
  CHECK(unpaired_ratio(slow.first, fast.first).low > 1);
  CHECK(unpaired_ratio(fast.first, slow.first).high < 1);
  CHECK(unpaired_ratio(fast.first, fast.first).holds(1));
}

TEST_CASE("quantiles are those of the sorted samples, interpolated") {
  const std::vector<double> samples{5, 1, 4, 2, 3};
  CHECK(quantile(samples, 0) == 1);
  CHECK(quantile(samples, 0.5) == 3);
  CHECK(quantile(samples, 1) == 5);
  CHECK(quantile(samples, 0.1) == Approx(1.4));
  CHECK_THROWS_WITH(quantile({}, 0.5), "there is no quantile of nothing");
}

TEST_CASE("a clock that slows down drifts, one that is interrupted does not") {
  std::vector<double> slower, interrupted(100, 1.0);
  for (int i = 0; i < 100; ++i) slower.push_back(1 + 0.001 * i);
  for (size_t i = 0; i < 100; i += 7) interrupted[i] = 2;
  CHECK(drift(slower) == Approx(0.08).margin(0.01));
  CHECK(drift(interrupted) == 0);
  CHECK(drift({1, 2, 3}) == 0);
}

TEST_CASE("what has no ratio is refused") {
  CHECK_THROWS_WITH(paired_ratio({1, 2}, {1}),
                    "sides that took turns have as many samples each, not 2 and 1");
  CHECK_THROWS_WITH(paired_ratio({1}, {1}), "an interval needs 8 rounds or more");
  CHECK_THROWS_WITH(paired_ratio({1, 0}, {1, 1}), "a ratio is of times above 0, not 0");
}
