// The packed product with AVX2 and FMA: 6 x 16 tiles, 12 of the 16 registers are accumulators.
#include "kernels/cpu/vector_avx2.h"
#include "kernels/matmul/micro_kernel_bf16_body.h"

namespace tenon {

const MicroKernels avx2_micro_kernels{
    .max_rows = 6,
    .multiply = multiply<Avx2, 6, 2>,
    .finish = finish<Avx2>,
    .transpose = transpose_by_element,
    .copy_rows = copy_rows<Avx2>,
};

const Bf16MicroKernels avx2_bf16_micro_kernels{
    .max_rows = 6,
    .multiplies_pairs = false,
    .multiply = multiply<Avx2, 6, 2>,
    .finish = finish_bf16<Avx2>,
    .transpose = widen_transpose,
    .copy_rows = widen_rows,
    .pair_transpose = pair_transpose,
    .pair_rows = pair_rows,
    .widen = widen<Avx2>,
};

}  // namespace tenon
