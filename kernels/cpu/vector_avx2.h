// Eight floats in an AVX2 register; see vector_math.h. Only for *_avx2.cpp files.
#pragma once
#include <immintrin.h>

#include <cstring>

#include "kernels/base/dtype.h"

namespace tenon {
namespace {

struct Avx2 {
  using Register = __m256;
  using Mask = __m256i;
  static constexpr int width = 8;

  static Mask first(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Register zero() { return _mm256_setzero_ps(); }
  static Register broadcast(float value) { return _mm256_set1_ps(value); }
  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static Register load(const float* p, Mask mask) { return _mm256_maskload_ps(p, mask); }
  static void store(float* p, Register x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, Mask mask, Register x) { _mm256_maskstore_ps(p, mask, x); }
  static Register load(const bf16* p, Mask mask) {
    const size_t size = bytes(mask);
    if (size == 16) return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    __m128i x = _mm_setzero_si128();
    std::memcpy(&x, p, size);
    return widen(x);
  }
  static void store(bf16* p, Mask mask, Register x) {  // rounded to nearest even; NaN stays NaN
    const __m256i bits = _mm256_castps_si256(x), upper = _mm256_srli_epi32(bits, 16);
    const __m256i half =
        _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(upper, _mm256_set1_epi32(1)));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i kept = _mm256_blendv_epi8(rounded, _mm256_or_si256(upper, _mm256_set1_epi32(0x40)), is_nan);
    const __m128i y = _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
    const size_t size = bytes(mask);
    if (size == 16)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), y);
    else
      std::memcpy(static_cast<void*>(p), &y, size);
  }
  // Of pairs of bf16, the first ones and the second ones.
  static Register first_of_pairs(const float* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(load(p)), 16));
  }
  static Register second_of_pairs(const float* p) {
    return _mm256_and_ps(load(p), _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register min(Register a, Register b) { return _mm256_min_ps(a, b); }  // b if one is NaN
  static Register max(Register a, Register b) { return _mm256_max_ps(a, b); }  // b if one is NaN
  static Register abs(Register x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
  static Register copy_sign(Register magnitude, Register sign) {
    return _mm256_or_ps(abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
  }
  static Register round(Register x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Register scale(Register x, Register exponent) {  // x * 2^exponent, exponent in [-126, 127]
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
    return x * _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
  static Register reciprocal(Register x) { return broadcast(1.0f) / x; }
  static Register select_less(Register a, Register b, Register yes, Register no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }

 private:
  static Register widen(__m128i x) {  // of eight bf16
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  static size_t bytes(Mask mask) {  // of so many bf16
    return 2 * static_cast<size_t>(__builtin_popcount(_mm256_movemask_ps(_mm256_castsi256_ps(mask))));
  }
};

}  // namespace
}  // namespace tenon
