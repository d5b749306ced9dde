// tf32: fp32 numbers as a tensor core multiplies them. They stay in fp32 memory.
#pragma once
#include <bit>
#include <cstdint>

namespace tenon {

// The nearest number with tf32's 10 bits of mantissa, ties away from zero. Infinities and NaN stay.
constexpr float round_to_tf32(float value) {
  const auto word = std::bit_cast<uint32_t>(value);
  const bool is_finite = (word & 0x7f800000u) != 0x7f800000u;
  return is_finite ? std::bit_cast<float>((word + 0x1000u) & 0xffffe000u) : value;
}

}  // namespace tenon
