// Dropout's masks by vector instructions: sixteen Philox blocks at a time, which are 64 elements.
#pragma once
#include <algorithm>

#include "kernels/base/philox.h"
#include "kernels/cpu/lanes.h"

namespace tenon::cpu {

// words[w][lane] = number w of block index[lane], as RandomKey::block() gives it.
inline void philox_lanes(const RandomKey& key, const uint64_t (&index)[lane_count],
                         uint32_t (&words)[4][lane_count]) {
  const auto key0 = static_cast<uint32_t>(key.seed), key1 = static_cast<uint32_t>(key.seed >> 32);
  for (int64_t lane = 0; lane < lane_count; ++lane) {
    uint32_t a = static_cast<uint32_t>(index[lane]), b = static_cast<uint32_t>(index[lane] >> 32);
    uint32_t c = key.step, d = key.operation, k0 = key0, k1 = key1;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t product0 = uint64_t{0xD2511F53u} * a, product1 = uint64_t{0xCD9E8D57u} * c;
      a = static_cast<uint32_t>(product1 >> 32) ^ b ^ k0;
      b = static_cast<uint32_t>(product1);
      c = static_cast<uint32_t>(product0 >> 32) ^ d ^ k1;
      d = static_cast<uint32_t>(product0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    words[0][lane] = a;
    words[1][lane] = b;
    words[2][lane] = c;
    words[3][lane] = d;
  }
}

// factors[i] = what dropout multiplies element first + i by: 0 or its scale. first is a multiple of 4.
inline void dropout_factors(const Dropout& dropout, uint64_t first, int64_t count, float* factors) {
  const uint32_t threshold = dropout.threshold();
  const auto scale = static_cast<float>(dropout.scale());
  constexpr int64_t group = 4 * lane_count;
  for (int64_t done = 0; done < count; done += group) {
    uint64_t index[lane_count];
    uint32_t words[4][lane_count];
    float values[group];
    for (int64_t lane = 0; lane < lane_count; ++lane)
      index[lane] = (first + static_cast<uint64_t>(done)) / 4 + static_cast<uint64_t>(lane);
    philox_lanes(dropout.key, index, words);
    for (int64_t lane = 0; lane < lane_count; ++lane)
      for (int64_t w = 0; w < 4; ++w) values[4 * lane + w] = words[w][lane] >= threshold ? scale : 0.0f;
    std::copy_n(values, std::min(group, count - done), factors + done);
  }
}

}  // namespace tenon::cpu
