// Four floats in the compilers' generic vector type: SSE2, NEON, whatever there is; see vector_math.h.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/base/dtype.h"

namespace tenon {
namespace {

struct Portable {
  using Register = float __attribute__((vector_size(16)));
  using Integers = int32_t __attribute__((vector_size(16)));
  using Mask = int;  // how many elements, from the first one, count
  static constexpr int width = 4;

  static Mask first(int count) { return count > 4 ? 4 : count < 0 ? 0 : count; }
  static Register zero() { return Register{}; }
  static Register broadcast(float value) { return Register{value, value, value, value}; }
  static Register load(const float* p) { return load(p, 4); }
  static Register load(const float* p, Mask count) {
    Register x{};
    std::memcpy(&x, p, static_cast<size_t>(count) * sizeof(float));
    return x;
  }
  static void store(float* p, Register x) { store(p, 4, x); }
  static void store(float* p, Mask count, Register x) {
    std::memcpy(p, &x, static_cast<size_t>(count) * sizeof(float));
  }
  static Register load(const bf16* p, Mask count) {
    uint16_t bits[4] = {};
    std::memcpy(bits, p, static_cast<size_t>(count) * sizeof(bf16));
    return as_floats(Integers{bits[0], bits[1], bits[2], bits[3]} << 16);
  }
  static void store(bf16* p, Mask count, Register x) {  // rounded to nearest even; NaN stays NaN
    const Integers bits = as_integers(x), upper = (bits >> 16) & 0xffff;
    const Integers y = x == x ? ((bits + 0x7fff + (upper & 1)) >> 16) & 0xffff : upper | 0x40;
    const uint16_t rounded[4] = {static_cast<uint16_t>(y[0]), static_cast<uint16_t>(y[1]),
                                 static_cast<uint16_t>(y[2]), static_cast<uint16_t>(y[3])};
    std::memcpy(static_cast<void*>(p), rounded, static_cast<size_t>(count) * sizeof(bf16));
  }
  // Of pairs of bf16, the first ones and the second ones.
  static Register first_of_pairs(const float* p) { return as_floats(as_integers(load(p)) << 16); }
  static Register second_of_pairs(const float* p) {
    return as_floats(as_integers(load(p)) & static_cast<int>(0xffff0000));
  }
  static Register fma(Register a, Register b, Register c) { return a * b + c; }
  static Register min(Register a, Register b) { return a < b ? a : b; }  // b if one is NaN
  static Register max(Register a, Register b) { return a > b ? a : b; }  // b if one is NaN
  static Register abs(Register x) { return as_floats(as_integers(x) & 0x7fffffff); }
  static Register copy_sign(Register magnitude, Register sign) {
    return as_floats((as_integers(magnitude) & 0x7fffffff) | (as_integers(sign) & INT32_MIN));
  }
  static Register round(Register x) {
    Register y;
    for (int i = 0; i < 4; ++i) y[i] = std::nearbyint(x[i]);
    return y;
  }
  static Register scale(Register x, Register exponent) {  // x * 2^exponent, exponent in [-126, 127]
    return x * as_floats((__builtin_convertvector(exponent, Integers) + 127) << 23);
  }
  static Register reciprocal(Register x) { return broadcast(1.0f) / x; }
  static Register select_less(Register a, Register b, Register yes, Register no) { return a < b ? yes : no; }

 private:
  static Integers as_integers(Register x) { return reinterpret_cast<Integers>(x); }
  static Register as_floats(Integers x) { return reinterpret_cast<Register>(x); }
};

}  // namespace
}  // namespace tenon
