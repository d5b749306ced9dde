// Transposes of 16 x 16 elements of 32 bits in registers, for packing. Only for files compiled for AVX-512.
#pragma once
#include "kernels/cpu/vector_avx512.h"

namespace tenon {
namespace {

inline __m512 low(__m512 a, __m512 b) { return _mm512_unpacklo_ps(a, b); }
inline __m512 high(__m512 a, __m512 b) { return _mm512_unpackhi_ps(a, b); }
inline __m512 low_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
inline __m512 high_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

// r[i] = row i becomes r[i] = column i. First 4 x 4 blocks inside the 128-bit lanes, then the lanes
// themselves.
inline void transpose_16x16(__m512 (&r)[16]) {
  __m512 s[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512 a = low(r[i], r[i + 1]), b = low(r[i + 2], r[i + 3]);
    const __m512 c = high(r[i], r[i + 1]), d = high(r[i + 2], r[i + 3]);
    s[i] = low_pairs(a, b), s[i + 1] = high_pairs(a, b), s[i + 2] = low_pairs(c, d),
    s[i + 3] = high_pairs(c, d);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_shuffle_f32x4(s[i], s[i + 4], 0x88),
                 b = _mm512_shuffle_f32x4(s[i], s[i + 4], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0xdd);
    r[i] = _mm512_shuffle_f32x4(a, c, 0x88), r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

// out(columns, out_stride) = the transpose of what load(row, column, mask) brings, 16 columns at a time.
template <class Load>
void transpose_loaded(int rows, int64_t columns, float* out, int64_t out_stride, const Load& load) {
  for (int64_t j = 0; j < columns; j += 16) {
    const int count = columns - j < 16 ? static_cast<int>(columns - j) : 16;
    __m512 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = i < rows ? load(i, j, count) : Avx512::zero();
    transpose_16x16(r);
    float* target = out + j * out_stride;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      if (i < count) _mm512_storeu_ps(target + i * out_stride, r[i]);
  }
}

// Each pair of bf16 along the rows is moved as one element.
inline void transpose_pairs(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out,
                            int64_t out_stride) {
  transpose_loaded(rows, (k + 1) / 2, out, out_stride, [=](int i, int64_t j, int) {
    const int64_t left = k - 2 * j;
    const auto mask = left < 32 ? static_cast<__mmask32>((1u << left) - 1) : ~__mmask32(0);
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, a + i * a_stride + 2 * j));
  });
}

}  // namespace
}  // namespace tenon
