// The packed product of bf16 matrices by the dot products of AVX-512-BF16: as packed_avx512.cpp, but each
// instruction multiplies two elements along K. It treats subnormal factors and sums as zero.
#include "kernels/matmul/micro_kernel_bf16_body.h"
#include "kernels/matmul/transpose_avx512.h"

namespace tenon {
namespace {

struct PairDots : Avx512 {
  static Register pair_dot(Register a, Register b, Register sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

void copy_pairs(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out) {
  pair_rows(a, a_stride, rows, k, out, rows);
}

}  // namespace

const Bf16MicroKernels bf16_dot_micro_kernels{
    .max_rows = 14,
    .multiplies_pairs = true,
    .multiply = multiply<PairDots, 14, 2>,
    .finish = finish_bf16<Avx512>,
    .transpose = transpose_pairs,
    .copy_rows = copy_pairs,
    .pair_transpose = transpose_pairs,
    .pair_rows = pair_rows,
    .widen = nullptr,
};

}  // namespace tenon
