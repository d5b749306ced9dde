// Eight floats in an AVX2 register; see vector_math.h. Only for *_avx2.cpp files.
#pragma once
#include <immintrin.h>

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
};

}  // namespace
}  // namespace tenon
