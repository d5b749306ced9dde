// What the GPU variants of attention share: where a block finds its rows in the packed batch, and the dropout
// of its probabilities.
#pragma once
#include <string>

#include "kernels/attention/attention.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// A view of (tokens, heads * dim), whose rows may lie apart.
template <class T>
struct PackedRows {
  T* data;
  int64_t stride;

  PackedRows(const TensorView& x) : data(x.as<T>()), stride(x.stride[0]) {}
};

// The scalars of both directions.
struct PackedHeads {
  const int32_t* cu_seqlens;
  int64_t tokens;
  int sequences, heads, dim;
  float scale;
  bool drops;
  uint32_t drop_threshold;
  float drop_scale;
  RandomKey drop_key;
  uint64_t first_sequence;

  template <class Args>
  explicit PackedHeads(const Args& a)
      : cu_seqlens(a.cu_seqlens.template as<int32_t>()),
        tokens(a.q.shape[0]),
        sequences(static_cast<int>(a.cu_seqlens.shape[0]) - 1),
        heads(a.num_heads),
        dim(static_cast<int>(a.q.shape[1] / a.num_heads)),
        scale(static_cast<float>(a.scale)),
        drops(a.dropout.active()),
        drop_threshold(a.dropout.threshold()),
        drop_scale(static_cast<float>(a.dropout.scale())),
        drop_key(a.dropout.key),
        first_sequence(static_cast<uint64_t>(a.first_sequence)) {}

  // The grid whose blocks each take one HeadTile of so many rows.
  Dim3 grid(int rows) const { return {tokens / rows + sequences, heads}; }
};

// What a kernel of the forward is given.
template <class T>
struct ForwardOperands {
  PackedHeads heads;
  PackedRows<const T> q, k, v;
  PackedRows<T> out;
  float* lse;

  explicit ForwardOperands(const Attention::Args& a)
      : heads(a), q(a.q), k(a.k), v(a.v), out(a.out), lse(a.lse.as<float>()) {}
};

// What kernels of the backward are given.
template <class T>
struct BackwardOperands {
  PackedHeads heads;
  PackedRows<const T> dout, q, k, v, out;
  const float* lse;
  PackedRows<T> dq, dk, dv;

  explicit BackwardOperands(const AttentionBackward::Args& a)
      : heads(a),
        dout(a.dout),
        q(a.q),
        k(a.k),
        v(a.v),
        out(a.out),
        lse(a.lse.as<float>()),
        dq(a.dq),
        dk(a.dk),
        dv(a.dv) {}
};

// Rows from `first` on of one head of one sequence; there are none if first is not less than length.
struct HeadTile {
  int sequence, head;
  int begin;   // row of the batch where the sequence begins
  int length;  // of the sequence
  int first;

  // Tiles of `rows` rows are numbered such that those of sequence b begin with b + cu_seqlens[b] / rows. That
  // leaves enough for any length and at most one too many, and nobody has to count the tiles beforehand.
  __device__ static HeadTile of_block(const PackedHeads& heads, int rows) {
    const int number = static_cast<int>(blockIdx.x);
    int low = 0, high = heads.sequences;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (middle + heads.cu_seqlens[middle] / rows <= number ? low : high) = middle;
    }
    const int begin = heads.cu_seqlens[low];
    return {low, static_cast<int>(blockIdx.y), begin, heads.cu_seqlens[low + 1] - begin,
            (number - low - begin / rows) * rows};
  }

  template <class T>
  __device__ T* row(const PackedHeads& heads, PackedRows<T> x, int row) const {
    return x.data + (begin + int64_t{row}) * x.stride + int64_t{head} * heads.dim;
  }
  // Index of a row in a (heads, tokens) array.
  __device__ int64_t statistic(const PackedHeads& heads, int row) const {
    return head * heads.tokens + begin + row;
  }
  __device__ uint64_t drop_element(const PackedHeads& heads, int row, int column) const {
    return attention_key(heads.first_sequence + static_cast<uint64_t>(sequence), static_cast<uint64_t>(head),
                         static_cast<uint64_t>(row)) +
           static_cast<uint64_t>(column);
  }
  // Bit i: dropout keeps column + i, of a column that is a multiple of 4. One Philox block.
  __device__ uint32_t kept_quad(const PackedHeads& heads, int row, int column) const {
    const auto words = heads.drop_key.block(drop_element(heads, row, column) / 4);
    uint32_t kept = 0;
    for (int i = 0; i < 4; ++i) kept |= static_cast<uint32_t>(words[i] >= heads.drop_threshold) << i;
    return kept;
  }
};

// Calls body.template operator()<padded>() with the smallest size of a head that was compiled for.
template <class Body>
void dispatch_dim(int dim, const Body& body) {
  if (dim <= 32)
    body.template operator()<32>();
  else if (dim <= 64)
    body.template operator()<64>();
  else
    body.template operator()<128>();
}

// Why a head does not fit into the tiles of dispatch_dim.
template <class Args>
std::string supports_dim(const Args& a) {
  return a.q.shape[1] > 128 * a.num_heads ? "its tiles have room for heads of at most 128" : "";
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
