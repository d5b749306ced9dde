// The packed product with AVX-512: 14 x 32 tiles, 28 of the 32 registers are accumulators. For each k the two
// load ports bring 2 vectors of b and 14 elements of a while the two FMA ports work 14 cycles: it is bound by
// the FMAs.
#include "kernels/cpu/vector_avx512.h"
#include "kernels/matmul/micro_kernel_bf16_body.h"
#include "kernels/matmul/transpose_avx512.h"

namespace tenon {
namespace {

void transpose(const float* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride) {
  transpose_loaded(rows, k, out, out_stride, [=](int i, int64_t j, int count) {
    return Avx512::load(a + i * a_stride + j, Avx512::first(count));
  });
}

void transpose_widened(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride) {
  transpose_loaded(rows, k, out, out_stride, [=](int i, int64_t j, int count) {
    return Avx512::load(a + i * a_stride + j, Avx512::first(count));
  });
}

}  // namespace

const MicroKernels avx512_micro_kernels{
    .max_rows = 14,
    .multiply = multiply<Avx512, 14, 2>,
    .finish = finish<Avx512>,
    .transpose = transpose,
    .copy_rows = copy_rows<Avx512>,
};

const Bf16MicroKernels avx512_bf16_micro_kernels{
    .max_rows = 14,
    .multiplies_pairs = false,
    .multiply = multiply<Avx512, 14, 2>,
    .finish = finish_bf16<Avx512>,
    .transpose = transpose_widened,
    .copy_rows = widen_rows,
    .pair_transpose = transpose_pairs,
    .pair_rows = pair_rows,
    .widen = widen<Avx512>,
};

}  // namespace tenon
