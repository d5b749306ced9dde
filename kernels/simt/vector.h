// Several elements as one memory access, and the conversions of the 16-bit floats.
#pragma once
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
#endif

template <int N, class T>
__device__ inline Vector<T, N> load_vector(const T* source, [[maybe_unused]] Here here = Here::current()) {
#ifndef __CUDACC__
  check_aligned(source, sizeof(Vector<T, N>), here);
#endif
  return *reinterpret_cast<const Vector<T, N>*>(source);
}

template <int N, class T>
__device__ inline void store_vector(T* target, const Vector<T, N>& value,
                                    [[maybe_unused]] Here here = Here::current()) {
#ifndef __CUDACC__
  check_aligned(target, sizeof(Vector<T, N>), here);
#endif
  *reinterpret_cast<Vector<T, N>*>(target) = value;
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
