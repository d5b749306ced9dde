// Sixteen floats in an AVX-512 register; see vector_math.h. Only for *_avx512.cpp files.
#pragma once
#include <immintrin.h>

#include "kernels/base/dtype.h"

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 warns inside its own intrinsics, bug 105593
#endif

namespace tenon {
namespace {

struct Avx512 {
  using Register = __m512;
  using Mask = __mmask16;
  static constexpr int width = 16;

  static Mask first(int count) {
    return count >= 16 ? Mask(0xffff) : count <= 0 ? Mask(0) : Mask((1 << count) - 1);
  }
  static Register zero() { return _mm512_setzero_ps(); }
  static Register broadcast(float value) { return _mm512_set1_ps(value); }
  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static Register load(const float* p, Mask mask) { return _mm512_maskz_loadu_ps(mask, p); }
  static void store(float* p, Register x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Mask mask, Register x) { _mm512_mask_storeu_ps(p, mask, x); }
  static Register load(const bf16* p, Mask mask) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
  }
  static void store(bf16* p, Mask mask, Register x) {  // rounded to nearest even; NaN stays NaN
    const __m512i bits = _mm512_castps_si512(x), upper = _mm512_srli_epi32(bits, 16);
    const __m512i half =
        _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(upper, _mm512_set1_epi32(1)));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __m512i kept =
        _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), upper, _mm512_set1_epi32(0x40));
    _mm256_mask_storeu_epi16(p, mask, _mm512_cvtepi32_epi16(kept));
  }
  // Of pairs of bf16, the first ones and the second ones.
  static Register first_of_pairs(const float* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
  }
  static Register second_of_pairs(const float* p) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register min(Register a, Register b) { return _mm512_min_ps(a, b); }  // b if one is NaN
  static Register max(Register a, Register b) { return _mm512_max_ps(a, b); }  // b if one is NaN
  static Register abs(Register x) { return _mm512_abs_ps(x); }
  static Register copy_sign(Register magnitude, Register sign) {
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
        _mm512_set1_epi32(0x7fffffff), _mm512_castps_si512(magnitude), _mm512_castps_si512(sign), 0xca));
  }
  static Register round(Register x) { return _mm512_roundscale_ps(x, 8); }
  static Register scale(Register x, Register exponent) {
    return _mm512_scalef_ps(x, exponent);
  }  // x * 2^exponent
  static Register reciprocal(
      Register x) {  // within 1 unit in the last place, x normal; a division takes 16 cycles
    const Register y = _mm512_rcp14_ps(x), one = broadcast(1.0f);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, y, one), y, y);
  }
  static Register select_less(Register a, Register b, Register yes, Register no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
  }
};

}  // namespace
}  // namespace tenon
