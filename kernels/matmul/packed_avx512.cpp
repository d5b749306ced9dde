// The packed product with AVX-512: 14 x 32 tiles, 28 of the 32 registers are accumulators. For each k the two
// load ports bring 2 vectors of b and 14 elements of a while the two FMA ports work 14 cycles: it is bound by
// the FMAs.
#include "kernels/cpu/vector_avx512.h"
#include "kernels/matmul/micro_kernel_body.h"

namespace tenon {
namespace {

__m512 low(__m512 a, __m512 b) { return _mm512_unpacklo_ps(a, b); }
__m512 high(__m512 a, __m512 b) { return _mm512_unpackhi_ps(a, b); }
__m512 low_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
__m512 high_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

// r[i] = row i becomes r[i] = column i. First 4 x 4 blocks inside the 128-bit lanes, then the lanes
// themselves.
void transpose_16x16(__m512 (&r)[16]) {
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

void transpose(const float* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride) {
  for (int64_t j = 0; j < k; j += 16) {
    const int count = k - j < 16 ? static_cast<int>(k - j) : 16;
    const __mmask16 mask = Avx512::first(count);
    __m512 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      r[i] = i < rows ? _mm512_maskz_loadu_ps(mask, a + i * a_stride + j) : Avx512::zero();
    transpose_16x16(r);
    float* target = out + j * out_stride;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      if (i < count) _mm512_storeu_ps(target + i * out_stride, r[i]);
  }
}

}  // namespace

const MicroKernels avx512_micro_kernels{
    .max_rows = 14,
    .multiply = multiply<Avx512, 14, 2>,
    .finish = finish<Avx512>,
    .transpose = transpose,
    .copy_rows = copy_rows<Avx512>,
};

}  // namespace tenon
