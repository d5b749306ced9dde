// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): random numbers as a
// pure function of (seed, step, operation, element), so that a mask does not depend on launch shape, packing,
// recomputation or device.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace tenon {

constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Which random numbers one operation draws in one step. Four neighbouring elements share one Philox block.
struct RandomKey {
  uint64_t seed = 0;
  uint32_t step = 0;
  uint32_t operation = 0;  // operation_key(path of the module)

  // The numbers of elements 4 * block ... 4 * block + 3.
  constexpr std::array<uint32_t, 4> block(uint64_t index) const {
    return philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), step, operation},
                  static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  }
  constexpr uint32_t operator()(uint64_t element) const { return block(element >> 2)[element & 3]; }
};

// FNV-1a, 32 bits.
constexpr uint32_t operation_key(std::string_view path) {
  uint32_t hash = 2166136261u;
  for (char c : path) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

// Element keys. Rows of a packed batch: (sequence in the batch, position, column); attention
// probabilities: (sequence, head, row, column). Both leave the column in the low bits.
constexpr uint64_t row_key(uint64_t sequence, uint64_t position) { return sequence << 40 | position << 20; }
constexpr uint64_t attention_key(uint64_t sequence, uint64_t head, uint64_t row) {
  return sequence << 44 | head << 32 | row << 16;
}

// Dropout keeps an element if its number is at least threshold(), and multiplies it by scale() in its type.
// The probability is a double: an fp32 0.1 would be a threshold, and in fp64 a scale, of its own.
struct Dropout {
  double probability = 0;
  RandomKey key;

  constexpr bool active() const { return probability > 0; }
  constexpr uint32_t threshold() const { return static_cast<uint32_t>(probability * 4294967296.0); }
  constexpr double scale() const { return 1.0 / (1.0 - probability); }
};

}  // namespace tenon
