// What a product of bf16 matrices needs besides the micro-kernel, for any vector type; loops without V are
// left to the compiler. In an anonymous namespace for the same reason as in micro_kernel_body.h.
#pragma once
#include <bit>

#include "kernels/matmul/micro_kernel_body.h"

namespace tenon {
namespace {

inline float widened(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

inline float pair(bf16 first, bf16 second) {
  return std::bit_cast<float>(static_cast<uint32_t>(first.bits) | static_cast<uint32_t>(second.bits) << 16);
}

inline void widen_transpose(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out,
                            int64_t out_stride) {
  for (int64_t j = 0; j < k; ++j)
    for (int i = 0; i < rows; ++i) out[j * out_stride + i] = widened(a[i * a_stride + j]);
}

inline void widen_rows(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out) {
  for (int64_t j = 0; j < k; ++j, a += a_stride, out += rows)
    for (int i = 0; i < rows; ++i) out[i] = widened(a[i]);
}

inline void pair_transpose(const bf16* b, int64_t b_stride, int columns, int64_t k, float* out,
                           int64_t out_stride) {
  for (int64_t j = 0; j < k; j += 2, out += out_stride)
    for (int i = 0; i < columns; ++i) {
      const bf16* row = b + i * b_stride + j;
      out[i] = pair(row[0], j + 1 < k ? row[1] : bf16());
    }
}

inline void pair_rows(const bf16* b, int64_t b_stride, int columns, int64_t k, float* out,
                      int64_t out_stride) {
  for (int64_t j = 0; j < k; j += 2, b += 2 * b_stride, out += out_stride) {
    if (j + 1 < k)
      for (int i = 0; i < columns; ++i) out[i] = pair(b[i], b[i + b_stride]);
    else
      for (int i = 0; i < columns; ++i) out[i] = pair(b[i], bf16());
  }
}

template <class V>
void widen(const float* panel, int64_t pairs, float* out) {
  for (int64_t i = 0; i < pairs; ++i, panel += panel_columns, out += 2 * panel_columns)
#pragma GCC unroll 8
    for (int j = 0; j < panel_columns; j += V::width) {
      V::store(out + j, V::first_of_pairs(panel + j));
      V::store(out + panel_columns + j, V::second_of_pairs(panel + j));
    }
}

template <class V>
void finish_bf16(const Tile& t, const TileEpilogue<bf16>& e, float beta, bf16* y, int64_t y_stride) {
  finish_any<V, bf16>(t, e, beta, y, y_stride);
}

}  // namespace
}  // namespace tenon
