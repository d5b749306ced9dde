// Dropout's masks by vector instructions: sixteen Philox blocks at a time, which are 64 elements.
#pragma once
#include <immintrin.h>

#include <algorithm>

#include "kernels/base/philox.h"
#include "kernels/cpu/lanes.h"

namespace tenon::cpu {

// words[w][lane] = number w of block index[lane], as RandomKey::block() gives it. By intrinsics of AVX2,
// which every build has: a multiplication takes the lower halves of 64-bit lanes and leaves whole products
// there, while compilers turn the plain loop into 64-bit multiplications that are three times slower.
inline void philox_lanes(const RandomKey& key, const uint64_t (&index)[lane_count],
                         uint32_t (&words)[4][lane_count]) {
  const __m256i multiplier0 = _mm256_set1_epi64x(0xD2511F53), multiplier1 = _mm256_set1_epi64x(0xCD9E8D57);
  const __m256i step0 = _mm256_set1_epi64x(0x9E3779B9), step1 = _mm256_set1_epi64x(0xBB67AE85);
  const __m256i lower_halves = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  const auto store = [&](uint32_t* to, __m256i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(value, lower_halves)));
  };
  for (int64_t lane = 0; lane < lane_count; lane += 4) {
    __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index + lane));
    __m256i b = _mm256_srli_epi64(a, 32);
    __m256i c = _mm256_set1_epi64x(key.step), d = _mm256_set1_epi64x(key.operation);
    __m256i key0 = _mm256_set1_epi64x(static_cast<uint32_t>(key.seed));
    __m256i key1 = _mm256_set1_epi64x(static_cast<uint32_t>(key.seed >> 32));
    for (int round = 0; round < 10; ++round) {
      const __m256i product0 = _mm256_mul_epu32(a, multiplier0);
      const __m256i product1 = _mm256_mul_epu32(c, multiplier1);
      a = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product1, 32), b), key0);
      b = product1;
      c = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product0, 32), d), key1);
      d = product0;
      key0 = _mm256_add_epi64(key0, step0);
      key1 = _mm256_add_epi64(key1, step1);
    }
    store(words[0] + lane, a);
    store(words[1] + lane, b);
    store(words[2] + lane, c);
    store(words[3] + lane, d);
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
