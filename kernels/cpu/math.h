// Elementary functions in fp32 without branches or calls, so that the compiler turns a loop over them into
// vector instructions. The polynomials are least-squares fits of Tenon's own; the bounds are measured by
// tests/math_test.cpp. The overloads for double are the standard library's: they serve the reference.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace tenon::cpu {

// exp(x) = fraction * 2^power, for x whose power of two is an exponent of fp32.
struct ExpParts {
  float fraction;
  int32_t power;
};

inline ExpParts exp_parts(float x) {
  const float shifted = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.3942639e-3f;
  p = p * r + 8.3664136e-3f;
  p = p * r + 4.16663183e-2f;
  p = p * r + 1.66665401e-1f;
  p = p * r + 0.5f;
  return {(p * r) * r + r + 1.0f, std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(12582912.0f)};
}

// Relative error below 1.2e-7; 0 below -87.3, the value at 88.72 above it.
inline float exp(float x) {
  const auto [fraction, power] = exp_parts(x < -87.3f ? -87.3f : (x > 88.72f ? 88.72f : x));
  const int32_t half = power >> 1;  // 2^power in two factors, since power may be 128
  const float low = std::bit_cast<float>((half + 127) << 23);
  const float high = std::bit_cast<float>((power - half + 127) << 23);
  const float y = fraction * low * high;
  return x != x ? x : (x < -87.3f ? 0.0f : y);
}

// Relative error below 1.2e-7 in [-87, 88]; beyond, the value at the nearer end.
inline float bounded_exp(float x) {
  const auto [fraction, power] = exp_parts(x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x));
  return fraction * std::bit_cast<float>((power + 127) << 23);
}

// Absolute error below 1.2e-7: 1 - exp(-a R(a)) with a = |x|, which is 1 in fp32 from 3.95 on.
inline float erf(float x) {
  const float magnitude = std::fabs(x);
  const float a = magnitude > 3.95f ? 3.95f : magnitude;
  float r = -8.043861271289643e-06f;
  r = r * a + 1.0602699330775067e-4f;
  r = r * a - 5.879519158042967e-4f;
  r = r * a + 1.5767625300213695e-3f;
  r = r * a - 5.8783989516086876e-5f;
  r = r * a - 1.921714097261429e-2f;
  r = r * a + 1.0279920697212219e-1f;
  r = r * a + 6.366161108016968e-1f;
  r = r * a + 1.1283793449401855f;
  const float y = 1.0f - bounded_exp(-a * r);
  return x != x ? x : std::copysign(y, x);
}

inline float tanh(float x) {
  const float a = std::fabs(x), square = x * x;
  float p = -5.624606980560081e-3f;
  p = p * square + 2.057322279880999e-2f;
  p = p * square - 5.372156484691046e-2f;
  p = p * square + 1.3331250608628e-1f;
  p = p * square - 3.3333275809998e-1f;
  const float small = x + x * square * p;
  const float large = std::copysign(1.0f - 2.0f / (bounded_exp(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + bounded_exp(-x)); }

inline double exp(double x) { return std::exp(x); }
inline double erf(double x) { return std::erf(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace tenon::cpu
