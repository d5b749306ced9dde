// What the tensor-core variants of attention share: tiles in shared memory, filled by asynchronous copies,
// and how a warp takes fragments of them. Rows are 16 bytes longer than the head: the 16-byte pieces of 8
// neighbouring rows, which one ldmatrix reads, then lie in different banks.
#pragma once
#include <bit>
#include <initializer_list>
#include <type_traits>

#include "kernels/attention/head_tiles.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int flash_warps = 4, flash_threads = flash_warps * warp_size;
inline constexpr float log2_e = 1.44269504f, ln_2 = 0.693147181f;

// Elements of T in 16 bytes, and the depth of one product of tensor cores: fp32 numbers are multiplied as
// tf32.
template <class T>
inline constexpr int piece = 16 / sizeof(T);
template <class T>
inline constexpr int depth_of = 2 * piece<T>;
template <class T>
using MmaType = std::conditional_t<std::is_same_v<T, float>, tf32, T>;

template <class T, int rows, int dim>
using FlashTile = T[rows][dim + piece<T>];

// Rows from `first` of the tile's sequence on; zero beyond its end and beyond the head's size, which is a
// multiple of 16 bytes. The caller commits and waits.
template <class T, int rows, int pitch>
__device__ void copy_rows(T (&to)[rows][pitch], const PackedHeads& heads, const HeadTile& tile,
                          const PackedRows<const T>& x, int first) {
  constexpr int pieces = pitch / piece<T> - 1;
  for (int i = thread_number(); i < rows * pieces; i += flash_threads) {
    const int row = i / pieces, column = i % pieces * piece<T>;
    const bool there = first + row < tile.length && column < heads.dim;
    const T* source = there ? tile.row(heads, x, first + row) + column : x.data;
    copy_async<16>(&to[row][column], source, there ? 16 : 0);
  }
}

// Four matrices of 8 rows of 16 bytes, as the tensor cores take them: fp32 rounded to tf32.
template <class T>
__device__ void load_words(uint32_t (&words)[4], const T* row) {
  load_matrices(words, row);
  if constexpr (std::is_same_v<T, float>)
    for (uint32_t& word : words) word = to_tf32(std::bit_cast<float>(word));
}

// Rows 0 to 15 of x and one depth of columns from k on, as the first factor.
template <class T, int pitch>
__device__ MmaA<MmaType<T>> load_a(const T (*x)[pitch], int k) {
  MmaA<MmaType<T>> a;
  const int lane = lane_number();
  load_words(a.words, &x[lane % 16][k + lane / 16 * piece<T>]);
  return a;
}

// Second factors for two neighbouring groups of 8 columns of the result.
template <class T>
struct FlashPair {
  MmaB<MmaType<T>> b[2];
};

// For products with the transpose of x: rows 0 to 15 of x are columns of the result, columns from k on the
// depth.
template <class T, int pitch>
__device__ FlashPair<T> load_b_of_rows(const T (*x)[pitch], int k) {
  uint32_t words[4];
  const int lane = lane_number();
  load_words(words, &x[lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * piece<T>]);
  return {{{{words[0], words[1]}}, {{words[2], words[3]}}}};
}

// For products with x itself: rows from 0 on are the depth, columns n to n + 15 those of the result. In tf32
// the depth is permuted as in as_a().
template <class T, int pitch>
__device__ FlashPair<T> load_b_of_columns(const T (*x)[pitch], int n) {
  uint32_t words[4];
  const int lane = lane_number();
  if constexpr (std::is_same_v<T, float>)
    for (int i = 0; i < 4; ++i) words[i] = to_tf32(x[lane % 4 * 2 + i % 2][n + i / 2 * 8 + lane / 4]);
  else
    load_matrices_transposed(words, &x[lane % 16][n + lane / 16 * 8]);
  return {{{{words[0], words[1]}}, {{words[2], words[3]}}}};
}

// A 16 x depth result, of one or two neighbouring blocks of 8 columns, as the first factor of a product over
// its columns. In tf32 a lane would need columns lane % 4 and lane % 4 + 4 but has 2 * (lane % 4) and the
// next: it hands those over, and the second factor's rows stand in the same order.
template <class T>
__device__ MmaA<MmaType<T>> as_a(const MmaC* blocks) {
  if constexpr (std::is_same_v<T, float>) {
    const auto& x = blocks[0].values;
    return {{to_tf32(x[0]), to_tf32(x[2]), to_tf32(x[1]), to_tf32(x[3])}};
  } else {
    const auto &left = blocks[0].values, &right = blocks[1].values;
    return {{pack_pair<T>(left[0], left[1]), pack_pair<T>(left[2], left[3]), pack_pair<T>(right[0], right[1]),
             pack_pair<T>(right[2], right[3])}};
  }
}

// Dropout of `blocks` 16 x 8 results of tensor cores, beginning at (row, column) of the probabilities: bit
// 4 * n + i says whether element i of block n is kept. A block takes 32 Philox blocks, one a lane: a lane
// draws for one of its two rows and its neighbour, who has the other half of the same columns, for the other.
template <int blocks>
__device__ uint32_t kept_bits(const PackedHeads& heads, const HeadTile& tile, int row, int column) {
  static_assert(blocks <= 8, "4 bits each");
  const int lane = lane_number(), odd = lane % 2;
  uint32_t own = 0;
#pragma unroll 1
  for (int n = 0; n < blocks; ++n)
    own |= tile.kept_quad(heads, row + lane / 4 + 8 * odd, column + 8 * n + lane % 4 / 2 * 4) << 4 * n;
  const uint32_t other = shuffle_xor(own, 1);
  const uint32_t upper = (odd ? other : own) >> 2 * odd, lower = (odd ? own : other) >> 2 * odd;
  return (upper & 0x33333333u) | (lower & 0x33333333u) << 2;
}

// The same for two blocks of transposed probabilities, whose rows are columns of the probabilities. Four rows
// share a Philox block; each lane draws one for every block and hands it to those who need it.
__device__ inline uint32_t kept_bits_transposed(const PackedHeads& heads, const HeadTile& tile, int row,
                                                int column) {
  const int lane = lane_number();
  uint32_t own = 0, kept = 0;
  for (int n = 0; n < 2; ++n)
    own |= tile.kept_quad(heads, row + 8 * n + lane % 8, column + lane / 8 * 4) << 4 * n;
  for (int i = 0; i < 4; ++i) {
    const uint32_t drawn = shuffle(own, 8 * (lane / 16 + i / 2 * 2) + lane % 4 * 2 + i % 2);
    kept |= (drawn >> lane / 4 % 4 & 0x11u) << i;
  }
  return kept;
}

// Writes 16 rows of a warp's result through shared memory that is this warp's alone: 16 bytes at a time, of
// the first `count` rows.
template <class T, int blocks, int pitch>
__device__ void store_rows(const MmaC (&values)[blocks], T (*through)[pitch], const PackedHeads& heads, T* to,
                           int64_t stride, int count) {
  constexpr int pieces = 8 * blocks / piece<T>;
  const int lane = lane_number();
  sync_warp();
  for (int n = 0; n < blocks; ++n)
    for (int half = 0; half < 2; ++half)
      store_vector(&through[lane / 4 + 8 * half][8 * n + lane % 4 * 2],
                   Vector<T, 2>{from_float<T>(values[n].values[2 * half]),
                                from_float<T>(values[n].values[2 * half + 1])});
  sync_warp();
  for (int i = lane; i < 16 * pieces; i += warp_size) {
    const int row = i / pieces, column = i % pieces * piece<T>;
    if (row < count && column < heads.dim)
      store_vector(to + row * stride + column, load_vector<piece<T>>(&through[row][column]));
  }
}

template <class T, class Args>
std::string supports_flash(const Args& a, std::initializer_list<const TensorView*> views) {
  if (std::string why_not = supports_dim(a); !why_not.empty()) return why_not;
  if (a.q.shape[1] / a.num_heads % piece<T> != 0)
    return str("it copies 16 bytes at a time, and the size of a head is no multiple of ", piece<T>);
  if (!(a.scale > 0)) return "it looks for the largest score before scaling, so the scale must be positive";
  for (const TensorView* x : views)
    if (reinterpret_cast<uintptr_t>(x->data) % 16 != 0 || x->stride[0] % piece<T> != 0)
      return "it copies 16 bytes at a time, and not all rows start at a multiple of 16 bytes";
  return "";
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
