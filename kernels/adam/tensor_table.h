// The elements of a whole list of tensors in one launch. A table of addresses and sizes travels as a
// parameter of the kernel, so that nothing is copied or allocated; a list longer than it holds takes several
// launches. Every block takes one piece of one tensor, of at most piece_size elements, so that long and short
// tensors keep the same number of threads busy. The cut depends on the sizes only.
#pragma once
#include <array>
#include <vector>

#include "kernels/base/view.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int piece_threads = 256;

// Tensor k of the list is `streams` tensors of equal size: a parameter, its gradient and so on.
template <int streams>
struct TensorTable {
  static constexpr int capacity = 3840 / (8 * streams + 8 + 4);  // a kernel's parameters may take 4 KB

  float* data[capacity][streams] = {};
  int64_t size[capacity] = {};
  int32_t first_block[capacity] = {};
  int32_t count = 0, blocks = 0;
};

// What a block works on. Vectors of 16 bytes where it is whole and all its streams are aligned.
template <int streams>
struct Piece {
  float* data[streams];
  int64_t size;
  bool aligned;
};

template <int64_t piece_size, int streams>
__device__ inline Piece<streams> piece_of_block(const TensorTable<streams>& table) {
  const auto block = static_cast<int32_t>(blockIdx.x);
  int32_t k = 0;
  for (int32_t end = table.count; end - k > 1;) {  // the last tensor whose first block is not after this one
    const int32_t middle = (k + end) / 2;
    (table.first_block[middle] <= block ? k : end) = middle;
  }
  const int64_t begin = (block - table.first_block[k]) * piece_size;
  const int64_t rest = table.size[k] - begin;
  Piece<streams> piece;
  piece.size = rest < piece_size ? rest : piece_size;
  piece.aligned = true;
  for (int s = 0; s < streams; ++s) {
    piece.data[s] = table.data[k][s] + begin;
    piece.aligned = piece.aligned && reinterpret_cast<uintptr_t>(piece.data[s]) % 16 == 0;
  }
  return piece;
}

// Calls body(values) with one element of each stream, for all of the piece; what it leaves in the streams
// from `first_written` on is stored. `unroll` vectors of each stream are under way together.
template <int64_t piece_size, int first_written, int unroll, int streams, class Body>
__device__ inline void for_each_element(const TensorTable<streams>& table, const Body& body) {
  constexpr int width = 4;
  constexpr int64_t step = piece_threads * width;
  static_assert(piece_size % (step * unroll) == 0);
  const auto piece = piece_of_block<piece_size>(table);
  if (piece.aligned && piece.size == piece_size) {
    for (int64_t first = thread_number() * width; first < piece_size; first += step * unroll) {
      Vector<float, width> vectors[streams][unroll];
#pragma unroll
      for (int k = 0; k < unroll; ++k)
        for (int s = 0; s < streams; ++s)
          vectors[s][k] = load_vector<width>(piece.data[s] + first + k * step);
#pragma unroll
      for (int k = 0; k < unroll; ++k) {
        for (int i = 0; i < width; ++i) {
          float values[streams];
          for (int s = 0; s < streams; ++s) values[s] = vectors[s][k][i];
          body(values);
          for (int s = first_written; s < streams; ++s) vectors[s][k][i] = values[s];
        }
        for (int s = first_written; s < streams; ++s)
          store_vector(piece.data[s] + first + k * step, vectors[s][k]);
      }
    }
    return;
  }
  for (int64_t i = thread_number(); i < piece.size; i += piece_threads) {
    float values[streams];
    for (int s = 0; s < streams; ++s) values[s] = piece.data[s][i];
    body(values);
    for (int s = first_written; s < streams; ++s) piece.data[s][i] = values[s];
  }
}

// Calls launch_table(table, pieces before it) for each table that the list fills; returns all pieces' number.
template <int streams, class LaunchTable>
int64_t for_each_table(const std::array<const std::vector<TensorView>*, streams>& lists, int64_t piece_size,
                       const LaunchTable& launch_table) {
  TensorTable<streams> table;
  int64_t before = 0;
  const auto flush = [&] {
    if (table.count > 0) launch_table(table, before);
    before += table.blocks;
    table.count = table.blocks = 0;
  };
  for (size_t k = 0; k < lists[0]->size(); ++k) {
    const int64_t size = (*lists[0])[k].size();
    if (size == 0) continue;
    if (table.count == table.capacity) flush();
    for (int s = 0; s < streams; ++s)
      table.data[table.count][s] = (*lists[static_cast<size_t>(s)])[k].template as<float>();
    table.size[table.count] = size;
    table.first_block[table.count++] = table.blocks;
    table.blocks += static_cast<int32_t>(ceil_div(size, piece_size));
  }
  flush();
  return before;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
