// Bidirectional multi-head attention over a packed batch (Vaswani et al. 2017), forward and backward:
//   s = scale * q k^T,  p = softmax(s),  out = dropout(p) v      for each sequence and head on its own
// Sequence b owns rows cu_seqlens[b] ... cu_seqlens[b + 1] - 1 and sees no other; empty ones are legal.
#pragma once
#include "kernels/base/op.h"
#include "kernels/base/philox.h"

namespace tenon {

struct Attention {
  static constexpr std::string_view name = "attention";
  static constexpr std::string_view backward = "attention_backward";

  struct Args {
    TensorView q, k, v;     // (T, num_heads * head_dim); rows may lie apart, as in a fused projection
    TensorView cu_seqlens;  // (B + 1) i32, from 0 to T, not decreasing
    TensorView out;         // (T, num_heads * head_dim); rows may lie apart
    TensorView lse;         // (num_heads, T) f32 (f64 for f64): log of the sum of exp(s) of a row, kept
    int num_heads = 1;
    int max_seqlen = 0;          // the longest of the sequences
    double scale = 1;            // 1 / sqrt(head_dim) in BERT
    Dropout dropout;             // of p: element attention_key(first_sequence + sequence, head, row) + column
    int64_t first_sequence = 0;  // number of this batch's first sequence within the optimiser step
  };

  static NamedViews inputs(Args& a) {
    return {{"q", &a.q}, {"k", &a.k}, {"v", &a.v}, {"cu_seqlens", &a.cu_seqlens}};
  }
  static NamedViews outputs(Args& a) { return {{"out", &a.out}, {"lse", &a.lse}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.q.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7}; }
};

// dq, dk and dv from dout and what the forward kept: p is computed again from lse, and the sum over a row of
// p * dp is dout . out.
struct AttentionBackward {
  static constexpr std::string_view name = "attention_backward";

  struct Args {
    TensorView dout, q, k, v, out;  // (T, num_heads * head_dim); rows may lie apart
    TensorView lse;                 // (num_heads, T)
    TensorView cu_seqlens;          // (B + 1) i32
    TensorView dq, dk, dv;          // (T, num_heads * head_dim); rows may lie apart
    int num_heads = 1;
    int max_seqlen = 0;
    double scale = 1;
    Dropout dropout;
    int64_t first_sequence = 0;
  };

  static NamedViews inputs(Args& a) {
    return {{"dout", &a.dout},
            {"q", &a.q},
            {"k", &a.k},
            {"v", &a.v},
            {"out", &a.out},
            {"lse", &a.lse},
            {"cu_seqlens", &a.cu_seqlens}};
  }
  static NamedViews outputs(Args& a) { return {{"dq", &a.dq}, {"dk", &a.dk}, {"dv", &a.dv}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.q.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 1e-6, .absolute = 5e-7}; }
};

}  // namespace tenon
