// Several elements as one memory access, and the conversions of the 16-bit floats.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/base/dtype.h"
#include "kernels/simt/launch.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// N elements in up to 16 bytes, moved by one instruction: its address must be a multiple of its size.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  static_assert(sizeof(T) * N <= 16);
  T data[N];

  __device__ T& operator[](int i) { return data[i]; }
  __device__ const T& operator[](int i) const { return data[i]; }
};

#ifndef __CUDACC__
inline void check_aligned(const void* address, size_t bytes, Here here) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0)
    simt::kernel_fault("a vector access at an address that is no multiple of the vector's size", here);
}

// What moves that many bytes at once. A compiler that saw the elements would access them one by one, and the
// hooks would take one vector for many small accesses.
template <size_t bytes>
struct Word;
template <>
struct Word<1> {
  typedef uint8_t Type __attribute__((may_alias));
};
template <>
struct Word<2> {
  typedef uint16_t Type __attribute__((may_alias));
};
template <>
struct Word<4> {
  typedef uint32_t Type __attribute__((may_alias));
};
template <>
struct Word<8> {
  typedef uint64_t Type __attribute__((may_alias));
};
template <>
struct Word<16> {
  typedef uint32_t Type __attribute__((vector_size(16), may_alias));
};

// The same word, of which the compiler knows nothing any more.
template <class T>
__forceinline__ T opaque(T word) {
  if constexpr (sizeof(T) == 16)
    asm("" : "+x"(word));
  else
    asm("" : "+r"(word));
  return word;
}
#endif

template <int N, class T>
__device__ __forceinline__ Vector<T, N> load_vector(const T* source,
                                                    [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  return *reinterpret_cast<const Vector<T, N>*>(source);
#else
  check_aligned(source, sizeof(Vector<T, N>), here);
  typename Word<sizeof(Vector<T, N>)>::Type word = *reinterpret_cast<const decltype(word)*>(source);
  word = opaque(word);
  return std::bit_cast<Vector<T, N> >(word);
#endif
}

template <int N, class T>
__device__ __forceinline__ void store_vector(T* target, const Vector<T, N>& value,
                                             [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  *reinterpret_cast<Vector<T, N>*>(target) = value;
#else
  check_aligned(target, sizeof(Vector<T, N>), here);
  using W = typename Word<sizeof(Vector<T, N>)>::Type;
  *reinterpret_cast<W*>(target) = opaque(std::bit_cast<W>(value));
#endif
}

template <class T>
__device__ inline float to_float(T value) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, f16>) return __half2float(__ushort_as_half(value.bits));
#endif
  return static_cast<float>(value);
}

// Rounds to nearest even.
template <class T>
__device__ inline T from_float(float value) {
#ifdef __CUDACC__
  T result;
  if constexpr (std::is_same_v<T, bf16>) {
    result.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
  } else if constexpr (std::is_same_v<T, f16>) {
    result.bits = __half_as_ushort(__float2half_rn(value));
  } else {
    result = static_cast<T>(value);
  }
  return result;
#else
  return static_cast<T>(value);
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
