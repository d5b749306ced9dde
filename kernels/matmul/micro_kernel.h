// The border between the blocked loops of the packed product (packed.cpp) and the instruction sets: one table
// of functions for each. A tile is at most max_rows x panel_columns of y; along K its elements are summed in
// ascending order with one accumulator each, so the bits of an element depend on its row, its column and K
// and on nothing else.
#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/base/dtype.h"
#include "kernels/matmul/epilogue.h"

namespace tenon {

inline constexpr int prefetch_steps = 8;
inline constexpr int panel_columns = 32;  // of the packed second factor, whatever the instruction set

struct Tile {
  const float* a;  // (k, rows), packed
  const float* b;  // (k, panel_columns), packed, zero beyond the last column
  const float*
      next_b;  // is read after this tile's b; brought into L2, next_lines for each prefetch_steps of k
  int next_lines;
  int64_t k;
  float* y;  // (rows, columns)
  int64_t y_stride;
  int rows, columns;
  float beta;  // y = beta * y + a b; with 0 y is not read
};

// What is done to a finished tile while it is in the cache. The pointers are those of the tile's first
// element.
template <class T>
struct TileEpilogue {
  Epilogue kind;
  const T* bias;      // (columns), or null
  const T* residual;  // (rows, columns) added last, or null
  int64_t residual_stride;
  T* pre_activation;  // (rows, columns), or null; read where is_gradient(kind)
  int64_t pre_activation_stride;
};

struct MicroKernels {
  int max_rows;
  void (*multiply)(const Tile&);
  void (*finish)(const Tile&, const TileEpilogue<float>&);
  // out(k, out_stride) = the transpose of a(rows, k), rows <= 16. Writes whole vectors, so that what follows
  // a row of out, up to 16 elements in all, is overwritten.
  void (*transpose)(const float* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride);
  // out(k, rows) = a(k, rows) without its stride; writes nothing else.
  void (*copy_rows)(const float* a, int64_t a_stride, int rows, int64_t k, float* out);
};

// The same for factors in bf16. The tile's y is in fp32: finish() rounds it to what it is the sum for. The
// packed second factor is in pairs: (k / 2, panel_columns), each the elements of an even k and of the next in
// the place of one float, zero beyond the last k.
struct Bf16MicroKernels {
  int max_rows;
  bool multiplies_pairs;  // tiles are of pairs, k counts them; else of floats
  void (*multiply)(const Tile&);
  void (*finish)(const Tile&, const TileEpilogue<bf16>&, float beta, bf16* y, int64_t y_stride);
  // As those above: out(k, rows) in floats, or (k / 2, rows) in pairs where the tiles are of these.
  void (*transpose)(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride);
  void (*copy_rows)(const bf16* a, int64_t a_stride, int rows, int64_t k, float* out);
  // Pairs of the transpose of b(columns, k), columns <= 16, and of b(k, columns).
  void (*pair_transpose)(const bf16* b, int64_t b_stride, int columns, int64_t k, float* out,
                         int64_t out_stride);
  void (*pair_rows)(const bf16* b, int64_t b_stride, int columns, int64_t k, float* out, int64_t out_stride);
  // out(2 * pairs, panel_columns) = the floats of pairs(pairs, panel_columns)
  void (*widen)(const float* panel, int64_t pairs, float* out);
};

template <class T>
using MicroKernelsOf = std::conditional_t<std::is_same_v<T, bf16>, Bf16MicroKernels, MicroKernels>;

const MicroKernels& best_micro_kernels();  // of those that this processor has
const Bf16MicroKernels& best_bf16_micro_kernels();

// The transpose of those that have none of their own.
void transpose_by_element(const float* a, int64_t a_stride, int rows, int64_t k, float* out,
                          int64_t out_stride);

extern const MicroKernels portable_micro_kernels, avx2_micro_kernels, avx512_micro_kernels;
extern const Bf16MicroKernels portable_bf16_micro_kernels, avx2_bf16_micro_kernels, avx512_bf16_micro_kernels,
    bf16_dot_micro_kernels;

}  // namespace tenon
