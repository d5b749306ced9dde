// The packed matrix product of the CPU as plain functions, for kernels that are built around a product
// (attention tiles, the recurrent step of a GRU) and for the `packed` variant of Matmul.
//
// Factors are fp32 or bf16, sums fp32 in both; those of bf16 are rounded once, after the epilogue.
//
// Same bits whatever the thread count, and each row's bits whatever the other rows: an element is summed over
// K in blocks of 384, in order, whoever computes it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/matmul/micro_kernel.h"

namespace tenon {

// y(M, N) = residual + activation(beta * y + op(a)(M, K) op(b)(K, N) + bias), op(x) = x or its transpose.
// The columns of every matrix are contiguous, rows are stride elements apart.
template <class T>
struct PackedProduct {
  int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;  // (M, K), or (K, M) if transpose_a
  int64_t a_stride = 0;
  bool transpose_a = false;
  const float* b_packed = nullptr;  // what pack_b() wrote; or null, then b is packed on the way
  const T* b = nullptr;             // (K, N), or (N, K) if transpose_b
  int64_t b_stride = 0;
  bool transpose_b = false;
  T* y = nullptr;  // (M, N)
  int64_t y_stride = 0;
  float beta = 0;  // with 0 y is not read
  Epilogue epilogue = Epilogue::none;
  const T* bias = nullptr;      // (N), where takes_bias(epilogue)
  const T* residual = nullptr;  // (M, N), optional
  int64_t residual_stride = 0;
  T* pre_activation = nullptr;  // (M, N), optional: the value before the activation; see Epilogue
  int64_t pre_activation_stride = 0;
  const MicroKernelsOf<T>* kernels = nullptr;  // null: the best that the processor has
  bool serial = false;  // stay on the calling thread; so does a call from inside a parallel loop
};

using PackedMatmul = PackedProduct<float>;

void packed_matmul(const PackedProduct<float>& product);
void packed_matmul(const PackedProduct<bf16>& product);

// Bytes of scratch that a product of elements of T takes on all threads together.
template <class T>
size_t packed_workspace(int64_t m, int64_t n, int64_t k, bool b_is_packed);

// The packed form of op(b)(K, N): panels of 32 columns, each (K, 32), the last one filled up with zeros; in
// bf16 (K / 2, 32) pairs (micro_kernel.h). It depends on the shape only, not on the processor.
size_t packed_bytes(int64_t k, int64_t n, DType dtype = DType::f32);
void pack_b(const float* b, int64_t b_stride, bool transpose_b, int64_t k, int64_t n, float* out,
            bool serial = false);
void pack_b(const bf16* b, int64_t b_stride, bool transpose_b, int64_t k, int64_t n, float* out,
            bool serial = false);

}  // namespace tenon
