// Products of 64-row tiles in shared memory, in fp32, by a block of 256 threads that stand 16 x 16. Of a
// (64, 64) product a thread has rows 4 y + i and columns x + 16 j, so that a row belongs to half a warp; of a
// (64, dim) product it has the same rows and dim / 16 columns. Rows are four elements longer than dim: 16
// bytes of 8 neighbouring rows then lie in different banks.
#pragma once
#include "kernels/attention/head_tiles.h"
#include "kernels/simt/store_rounded.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int tile_rows = 64, tile_threads = 256;

template <int dim>
using Fp32Tile = float[tile_rows][dim + 4];

// A thread's part of a product.
struct Part {
  int x = thread_number() % 16, y = thread_number() / 16;

  __device__ int row(int i) const { return 4 * y + i; }
  __device__ int column(int j) const { return x + 16 * j; }
  __device__ static float sum_of_row(float value) {
    for (int mask = 8; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
  }
  __device__ static float max_of_row(float value) {
    for (int mask = 8; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
    return value;
  }
};

// The first `count` of four elements, then zeros.
template <class T>
__device__ Vector<float, 4> read4(const T* x, int count) {
  Vector<float, 4> values = {};
  if (count >= 4 && reinterpret_cast<uintptr_t>(x) % sizeof(Vector<T, 4>) == 0) {
    const auto loaded = load_vector<4>(x);
    for (int i = 0; i < 4; ++i) values[i] = to_float(loaded[i]);
  } else {
    for (int i = 0; i < 4; ++i)
      if (i < count) values[i] = to_float(x[i]);
  }
  return values;
}

// Rows from `first` of the tile's sequence on; zero beyond its end and beyond the head's size.
template <int pitch, class T>
__device__ void load_rows(float (&to)[tile_rows][pitch], const PackedHeads& heads, const HeadTile& tile,
                          const PackedRows<const T>& x, int first) {
  constexpr int vectors = pitch / 4 - 1;
  for (int i = thread_number(); i < tile_rows * vectors; i += tile_threads) {
    const int row = i / vectors, column = i % vectors * 4;
    const int count = first + row < tile.length ? heads.dim - column : 0;
    const T* source = count > 0 ? tile.row(heads, x, first + row) + column : nullptr;
    store_vector(&to[row][column], read4(source, count));
  }
}

// How many of the 64 rows from `first` on the sequence has.
__device__ inline int rows_there(const HeadTile& tile, int first) {
  return tile.length - first < tile_rows ? tile.length - first : tile_rows;
}

__device__ inline float dot4(float sum, const Vector<float, 4>& a, const Vector<float, 4>& b) {
  for (int i = 0; i < 4; ++i) sum += a[i] * b[i];
  return sum;
}

// c = a times the transpose of b, of their first `depth` columns: more are zero.
template <int pitch>
__device__ void multiply_rows(const Part& part, const float (&a)[tile_rows][pitch],
                              const float (&b)[tile_rows][pitch], int depth, float (&c)[4][4]) {
  for (auto& row : c)
    for (float& value : row) value = 0;
#pragma unroll 1
  for (int k = 0; k < depth; k += 4) {
    Vector<float, 4> x[4], y[4];
    for (int i = 0; i < 4; ++i) x[i] = load_vector<4>(&a[part.row(i)][k]);
    for (int j = 0; j < 4; ++j) y[j] = load_vector<4>(&b[part.column(j)][k]);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) c[i][j] = dot4(c[i][j], x[i], y[j]);
  }
}

// The columns of a (64, dim) product that a thread has, as vectors: the first column of vector i.
template <int columns>
inline constexpr int part_width = columns < 4 ? columns : 4;
template <int columns>
__device__ int part_column(const Part& part, int i) {
  return part_width<columns> * (part.x + 16 * i);
}

template <int columns, int pitch>
__device__ void add_row(const Part& part, const float (&factors)[4], const float (&row)[pitch],
                        float (&sum)[4][columns]) {
  constexpr int width = part_width<columns>;
  for (int c = 0; c < columns / width; ++c) {
    const auto x = load_vector<width>(&row[part_column<columns>(part, c)]);
    for (int i = 0; i < 4; ++i)
      for (int e = 0; e < width; ++e) sum[i][width * c + e] += factors[i] * x[e];
  }
}

// sum += p x, of the first `depth` columns of p and rows of x: more are zero.
template <int columns>
__device__ void add_product(const Part& part, const Fp32Tile<tile_rows>& p, const Fp32Tile<16 * columns>& x,
                            int depth, float (&sum)[4][columns]) {
#pragma unroll 1
  for (int k = 0; k < depth; k += 4) {
    Vector<float, 4> rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = load_vector<4>(&p[part.row(i)][k]);
    for (int e = 0; e < 4; ++e) {
      const float factors[4] = {rows[0][e], rows[1][e], rows[2][e], rows[3][e]};
      add_row(part, factors, x[k + e], sum);
    }
  }
}

// sum += the transpose of p, times x, of the first `depth` rows of both: more of x are zero.
template <int columns>
__device__ void add_transposed_product(const Part& part, const Fp32Tile<tile_rows>& p,
                                       const Fp32Tile<16 * columns>& x, int depth, float (&sum)[4][columns]) {
#pragma unroll 2
  for (int k = 0; k < depth; ++k) {
    const auto column = load_vector<4>(&p[k][part.row(0)]);
    add_row(part, column.data, x[k], sum);
  }
}

// One row of a thread's part of a (64, dim) product, times `factor`.
template <int columns, class T>
__device__ void store_row(const Part& part, const PackedHeads& heads, const HeadTile& tile,
                          const PackedRows<T>& to, int row, const float (&values)[columns], float factor) {
  constexpr int width = part_width<columns>;
  T* target = tile.row(heads, to, row);
  for (int i = 0; i < columns / width; ++i) {
    const int column = part_column<columns>(part, i), left = heads.dim - column;
    float scaled[width];
    for (int e = 0; e < width; ++e) scaled[e] = values[width * i + e] * factor;
    if (left >= width && reinterpret_cast<uintptr_t>(target + column) % sizeof(Vector<T, width>) == 0) {
      store_rounded(target + column, scaled);
    } else {
      for (int e = 0; e < width; ++e)
        if (e < left) target[column + e] = from_float<T>(scaled[e]);
    }
  }
}

// Which of a thread's 4 x 4 probabilities dropout keeps. Four neighbouring columns share a Philox block, and
// belong to four neighbouring threads: each computes one of their four column groups, and they exchange.
class DropMask {
 public:
  __device__ DropMask(const Part& part, const PackedHeads& heads, const HeadTile& tile, int first_row,
                      int first_column)
      : bit_(part.x % 4) {
    if (!heads.drops) return;
    const int group = part.x % 4;
    uint32_t own = 0;
    for (int i = 0; i < 4; ++i)
      own |= tile.kept_quad(heads, first_row + part.row(i), first_column + 16 * group + part.x / 4 * 4)
             << 4 * i;
    for (int j = 0; j < 4; ++j) columns_[j] = shuffle(own, lane_number() - group + j);
  }

  __device__ bool operator()(int i, int j) const { return columns_[j] >> (4 * i + bit_) & 1; }

 private:
  int bit_;
  uint32_t columns_[4] = {~0u, ~0u, ~0u, ~0u};
};

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
