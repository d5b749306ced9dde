// The packed product where there is neither AVX2 nor AVX-512: 6 x 8 tiles in the compilers' generic vectors.
#include "kernels/cpu/vector_portable.h"
#include "kernels/matmul/micro_kernel_bf16_body.h"

namespace tenon {

void transpose_by_element(const float* a, int64_t a_stride, int rows, int64_t k, float* out,
                          int64_t out_stride) {
  for (int64_t j = 0; j < k; ++j)
    for (int i = 0; i < rows; ++i) out[j * out_stride + i] = a[i * a_stride + j];
}

const MicroKernels portable_micro_kernels{
    .max_rows = 6,
    .multiply = multiply<Portable, 6, 2>,
    .finish = finish<Portable>,
    .transpose = transpose_by_element,
    .copy_rows = copy_rows<Portable>,
};

const Bf16MicroKernels portable_bf16_micro_kernels{
    .max_rows = 6,
    .multiplies_pairs = false,
    .multiply = multiply<Portable, 6, 2>,
    .finish = finish_bf16<Portable>,
    .transpose = widen_transpose,
    .copy_rows = widen_rows,
    .pair_transpose = pair_transpose,
    .pair_rows = pair_rows,
    .widen = widen<Portable>,
};

}  // namespace tenon
