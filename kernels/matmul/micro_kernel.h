// The border between the blocked loops of the packed product (packed.cpp) and the instruction sets: one table
// of functions for each. A tile is at most max_rows x panel_columns of y; along K its elements are summed in
// ascending order with one accumulator each, so the bits of an element depend on its row, its column and K
// and on nothing else.
#pragma once
#include <cstdint>

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
struct TileEpilogue {
  Epilogue kind;
  const float* bias;      // (columns), or null
  const float* residual;  // (rows, columns) added last, or null
  int64_t residual_stride;
  float* pre_activation;  // (rows, columns), or null; read where is_gradient(kind)
  int64_t pre_activation_stride;
};

struct MicroKernels {
  int max_rows;
  void (*multiply)(const Tile&);
  void (*finish)(const Tile&, const TileEpilogue&);
  // out(k, out_stride) = the transpose of a(rows, k), rows <= 16. Writes whole vectors, so that what follows
  // a row of out, up to 16 elements in all, is overwritten.
  void (*transpose)(const float* a, int64_t a_stride, int rows, int64_t k, float* out, int64_t out_stride);
  // out(k, rows) = a(k, rows) without its stride; writes nothing else.
  void (*copy_rows)(const float* a, int64_t a_stride, int rows, int64_t k, float* out);
};

const MicroKernels& best_micro_kernels();  // of those that this processor has

// The transpose of those that have none of their own.
void transpose_by_element(const float* a, int64_t a_stride, int rows, int64_t k, float* out,
                          int64_t out_stride);

extern const MicroKernels portable_micro_kernels, avx2_micro_kernels, avx512_micro_kernels;

}  // namespace tenon
