// Tensor cores: products of small matrices that a warp holds in its registers (PTX mma.sync, sm_80), and the
// loads that spread a matrix over the lanes (ldmatrix). Each primitive stands beside its twin; the layouts
// are those of the PTX manual, "Matrix Fragments for mma.m16n8k16" and "m16n8k8".
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/base/dtype.h"
#include "kernels/simt/vector.h"
#include "kernels/simt/warp.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// The element type whose products are those of fp32 numbers cut to 10 bits of mantissa, in 32-bit registers.
struct tf32 {};

// Depth of one product.
template <class T>
inline constexpr int mma_depth = std::is_same_v<T, tf32> ? 8 : 16;

// One lane's share of a 16 x k matrix, of a k x 8 matrix, and of a 16 x 8 matrix of fp32 sums. A 16-bit
// element i is half i % 2 (0: the low one) of words[i / 2]; a tf32 element i is words[i].
template <class T>
struct MmaA {
  uint32_t words[4];
};
template <class T>
struct MmaB {
  uint32_t words[2];
};
struct MmaC {
  float values[4];
};

// Where element i of a lane's share stands in the matrix.
struct MmaPlace {
  int row, column;
};
template <class T>
__host__ __device__ constexpr MmaPlace mma_a_place(int lane, int i) {
  if constexpr (std::is_same_v<T, tf32>)
    return {lane / 4 + 8 * (i % 2), lane % 4 + 4 * (i / 2)};
  else
    return {lane / 4 + 8 * (i / 2 % 2), 2 * (lane % 4) + i % 2 + 8 * (i / 4)};
}
template <class T>
__host__ __device__ constexpr MmaPlace mma_b_place(int lane, int i) {
  if constexpr (std::is_same_v<T, tf32>)
    return {lane % 4 + 4 * i, lane / 4};
  else
    return {2 * (lane % 4) + i % 2 + 8 * (i / 2), lane / 4};
}
__host__ __device__ constexpr MmaPlace mma_c_place(int lane, int i) {
  return {lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2};
}

// The nearest tf32 number, ties away from zero.
__device__ inline uint32_t to_tf32(float value) {
#ifdef __CUDACC__
  uint32_t word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
  return word;
#else
  const auto word = std::bit_cast<uint32_t>(value);
  const bool finite = (word & 0x7f800000u) != 0x7f800000u;
  return finite ? (word + 0x1000u) & 0xffffe000u : word;
#endif
}

// Two 16-bit floats in one word, each rounded to nearest even.
template <class T>
__device__ inline uint32_t pack_pair(float low, float high) {
  return from_float<T>(low).bits | static_cast<uint32_t>(from_float<T>(high).bits) << 16;
}

#ifndef __CUDACC__
template <class T>
struct MmaOperands {
  MmaA<T> a;
  MmaB<T> b;
};

// The product's element at a place, from the registers of all lanes. Not a kernel's code: without hooks.
template <class T>
__attribute__((no_sanitize("thread"))) float mma_element(const WarpValues<MmaOperands<T>>& warp,
                                                         MmaPlace place) {
  float sum = 0;
  for (int k = 0; k < mma_depth<T>; ++k) {
    if constexpr (std::is_same_v<T, tf32>) {
      const auto& a = warp.lane[place.row % 8 * 4 + k % 4].a.words[place.row / 8 + 2 * (k / 4)];
      const auto& b = warp.lane[place.column * 4 + k % 4].b.words[k / 4];
      sum += std::bit_cast<float>(a & 0xffffe000u) * std::bit_cast<float>(b & 0xffffe000u);
    } else {
      const auto& a = warp.lane[place.row % 8 * 4 + k % 8 / 2].a.words[place.row / 8 + 2 * (k / 8)];
      const auto& b = warp.lane[place.column * 4 + k % 8 / 2].b.words[k / 8];
      T x, y;
      x.bits = static_cast<uint16_t>(a >> 16 * (k % 2));
      y.bits = static_cast<uint16_t>(b >> 16 * (k % 2));
      sum += static_cast<float>(x) * static_cast<float>(y);
    }
  }
  return sum;
}

__forceinline__ void emulate_load_matrices(uint32_t* words, const void* row, int count, bool transposed,
                                           Here here) {
  if (lane_number() < 8 * count) {
    check_aligned(row, 16, here);
    simt::check_shared(row, here);
  }
  simt::load_matrices(words, row, count, transposed, here);
}
#endif

// c += a b, by a whole warp. Sums are kept in fp32; in which order a tensor core adds is its own affair.
template <class T>
__device__ inline void mma(MmaC& c, const MmaA<T>& a, const MmaB<T>& b,
                           [[maybe_unused]] Here here = Here::current()) {
  static_assert(std::is_same_v<T, bf16> || std::is_same_v<T, f16> || std::is_same_v<T, tf32>);
#ifdef __CUDACC__
#define TENON_MMA(shape_and_types)                                                                    \
  asm volatile("mma.sync.aligned." shape_and_types                                                    \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                     \
               : "+f"(c.values[0]), "+f"(c.values[1]), "+f"(c.values[2]), "+f"(c.values[3])           \
               : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b.words[0]), \
                 "r"(b.words[1]))
  if constexpr (std::is_same_v<T, bf16>)
    TENON_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
  else if constexpr (std::is_same_v<T, f16>)
    TENON_MMA("m16n8k16.row.col.f32.f16.f16.f32");
  else
    TENON_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
#undef TENON_MMA
#else
  constexpr const char* name = std::is_same_v<T, tf32> ? "mma of tf32" : "mma";
  const auto warp = warp_exchange(MmaOperands<T>{a, b}, whole_warp, name, here);
  for (int i = 0; i < 4; ++i) c.values[i] += mma_element(warp, mma_c_place(lane_number(), i));
#endif
}

#ifdef __CUDACC__
// ldmatrix of 1, 2 or 4 matrices into `words`; `form` is "" or ".trans".
#define TENON_LOAD_MATRICES(form)                                                           \
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));                \
  if constexpr (count == 1)                                                                 \
    asm volatile("ldmatrix.sync.aligned.m8n8.x1" form ".shared.b16 {%0}, [%1];"             \
                 : "=r"(words[0])                                                           \
                 : "r"(address)                                                             \
                 : "memory");                                                               \
  else if constexpr (count == 2)                                                            \
    asm volatile("ldmatrix.sync.aligned.m8n8.x2" form ".shared.b16 {%0, %1}, [%2];"         \
                 : "=r"(words[0]), "=r"(words[1])                                           \
                 : "r"(address)                                                             \
                 : "memory");                                                               \
  else                                                                                      \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" form ".shared.b16 {%0, %1, %2, %3}, [%4];" \
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])           \
                 : "r"(address)                                                             \
                 : "memory")
#endif

// `count` (1, 2 or 4) matrices of 8 x 8 16-bit elements from shared memory. Lane i names row i % 8 of matrix
// i / 8, 16 aligned bytes; lanes from 8 * count on name nothing. words[j] of a lane holds, of matrix j, row
// lane / 4, columns 2 * (lane % 4) and the next. With rows of four 32-bit elements it is column lane % 4.
template <int count>
__device__ __forceinline__ void load_matrices(uint32_t (&words)[count], const void* row,
                                              [[maybe_unused]] Here here = Here::current()) {
  static_assert(count == 1 || count == 2 || count == 4);
#ifdef __CUDACC__
  TENON_LOAD_MATRICES("");
#else
  emulate_load_matrices(words, row, count, false, here);
#endif
}

// The same, transposed: words[j] of a lane holds, of matrix j, column lane / 4, rows 2 * (lane % 4) and the
// next.
template <int count>
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&words)[count], const void* row,
                                                         [[maybe_unused]] Here here = Here::current()) {
  static_assert(count == 1 || count == 2 || count == 4);
#ifdef __CUDACC__
  TENON_LOAD_MATRICES(".trans");
#else
  emulate_load_matrices(words, row, count, true, here);
#endif
}

#ifdef __CUDACC__
#undef TENON_LOAD_MATRICES
#endif

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
