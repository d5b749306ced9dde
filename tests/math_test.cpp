// The vectorisable elementary functions keep the bounds that their header states.
#include "kernels/cpu/math.h"

#include <limits>

#include "tests/catch.h"

using namespace tenon;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Largest of error(x) over evenly spaced x in [low, high].
template <class Error>
double worst(float low, float high, const Error& error) {
  constexpr int steps = 400000;
  double largest = 0;
  for (int i = 0; i <= steps; ++i) {
    const double found = error(low + (high - low) * static_cast<float>(i) / steps);
    if (!(found <= largest)) largest = found;  // NaN is the worst
  }
  return largest;
}

double relative(float found, double truth) { return std::fabs(double{found} - truth) / std::fabs(truth); }

}  // namespace

TEST_CASE("exp and bounded_exp have a relative error below 1.2e-7") {
  CHECK(worst(-87, 88, [](float x) { return relative(cpu::exp(x), std::exp(double{x})); }) < 1.2e-7);
  CHECK(worst(-87, 88, [](float x) { return relative(cpu::bounded_exp(x), std::exp(double{x})); }) < 1.2e-7);
}

TEST_CASE("erf, tanh and sigmoid have an absolute error below 1.2e-7") {
  CHECK(worst(-6, 6, [](float x) { return std::fabs(double{cpu::erf(x)} - std::erf(double{x})); }) < 1.2e-7);
  CHECK(worst(-12, 12, [](float x) { return std::fabs(double{cpu::tanh(x)} - std::tanh(double{x})); }) <
        2e-7);
  CHECK(worst(-30, 30, [](float x) { return std::fabs(cpu::sigmoid(x) - 1 / (1 + std::exp(-double{x}))); }) <
        2e-7);
}

TEST_CASE("elementary functions are right at the ends and pass NaN on") {
  CHECK(cpu::exp(-infinity) == 0);
  CHECK(cpu::exp(0.0f) == 1);
  CHECK(cpu::erf(infinity) == 1);
  CHECK(cpu::erf(-infinity) == -1);
  CHECK(cpu::tanh(infinity) == 1);
  CHECK(cpu::tanh(-1e30f) == -1);
  CHECK(std::isnan(cpu::exp(float{NAN})));
  CHECK(std::isnan(cpu::erf(float{NAN})));
  CHECK(std::isnan(cpu::tanh(float{NAN})));
}
