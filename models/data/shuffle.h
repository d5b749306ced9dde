// Draws in a row for splits, batch orders and the generated corpus: the same for a seed on every machine,
// which std::shuffle and the standard distributions do not promise.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/philox.h"

namespace tenon {

class Draws {
 public:
  // `purpose` and `step` set apart draws that have the seed in common.
  Draws(uint64_t seed, std::string_view purpose, uint32_t step = 0)
      : key_{seed, step, operation_key(purpose)} {}

  // Uniform in 0 ... n - 1, n > 0; a number below 2^64 mod n is drawn again.
  uint64_t below(uint64_t n) {
    uint64_t bits = next();
    while (bits < (0 - n) % n) bits = next();
    return bits % n;
  }

 private:
  uint64_t next() {
    const auto block = key_.block(index_++);
    return block[0] | uint64_t{block[1]} << 32;
  }

  RandomKey key_;
  uint64_t index_ = 0;
};

// Fisher and Yates: every order is equally likely.
template <class T>
void shuffle(std::vector<T>& items, Draws& draws) {
  for (size_t left = items.size(); left > 1; --left) std::swap(items[left - 1], items[draws.below(left)]);
}

}  // namespace tenon
