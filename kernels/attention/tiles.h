// What the tiled variants of attention are made of: products of tiles by the micro-kernels of the packed
// matrix product. Scores are kept transposed, (keys, 32 queries): so they are at once the result of a product
// and, unpacked, the second factor of the next one, and a softmax runs along the vectors' lanes.
#pragma once
#include <vector>

#include "kernels/base/memory.h"
#include "kernels/base/philox.h"
#include "kernels/base/view.h"
#include "kernels/matmul/packed.h"

namespace tenon::attention {

inline constexpr int64_t block = panel_columns;  // queries that are worked on together

// Rows [first, first + rows) of one head of one sequence, whose rows begin at `begin`.
struct Task {
  int64_t sequence, head, begin, length, first, rows;
};

// Longest first; pieces of up to rows_per_task rows.
std::vector<Task> tasks(const TensorView& cu_seqlens, int num_heads, int64_t rows_per_task);

// Scratch of one task, handed out in pieces that start on cache lines.
class Scratch {
 public:
  explicit Scratch(int64_t floats) : buffer_(Device::cpu, bytes(floats)), next_(buffer_.as<float>()) {}
  float* take(int64_t floats) {
    float* taken = next_;
    next_ += padded(floats);
    return taken;
  }
  // Packing writes whole vectors, up to 15 elements past the end.
  static int64_t padded(int64_t floats) { return (floats + 31) / 16 * 16; }
  static size_t bytes(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }

 private:
  Buffer buffer_;
  float* next_;
};

// First factors of a product are packed by groups of kernels.max_rows rows, each group (k, rows in it). What
// is bf16 outside of the tiles is fp32 in them.
class Tiles {
 public:
  Tiles(const MicroKernels& kernels, const Bf16MicroKernels& widening)
      : kernels_(kernels), widening_(widening) {}

  // x(rows, k)
  template <class T>
  void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t k, float* packed) const;
  // The transpose of x(k, rows)
  template <class T>
  void pack_columns(const T* x, int64_t stride, int64_t k, int64_t rows, float* packed) const;
  // A second factor, panel(k, 32): the transpose of x(rows, k), zero beyond its rows
  template <class T>
  void pack_panel(const T* x, int64_t stride, int64_t rows, int64_t k, float* panel) const;
  // y(rows, columns) = beta * y + packed(rows, k) panel(k, 32)
  void multiply(const float* packed, const float* panel, int64_t rows, int64_t k, float* y, int64_t y_stride,
                int64_t columns, float beta) const;
  // y(rows, columns of x) = the transpose of x(columns, 32)
  template <class T>
  void store_transposed(const float* x, int64_t columns, int64_t rows, T* y, int64_t y_stride) const;

 private:
  template <class Body>
  void for_each_group(int64_t rows, const Body& body) const {
    for (int64_t first = 0; first < rows; first += kernels_.max_rows)
      body(first, static_cast<int>(std::min<int64_t>(kernels_.max_rows, rows - first)));
  }
  const MicroKernels& of(const float*) const { return kernels_; }
  const Bf16MicroKernels& of(const bf16*) const { return widening_; }

  const MicroKernels& kernels_;
  const Bf16MicroKernels& widening_;
};

// What dropout multiplies the probabilities of keys 4 * quad ... 4 * quad + 3 and 32 queries by, from the key
// of the first query's row on.
void factors_of_quad(const Dropout& dropout, uint64_t first_row_key, int64_t quad,
                     float (&factors)[4][block]);

}  // namespace tenon::attention
