// One layer of a gated recurrent unit over a packed batch, in one or both directions (Cho et al. 2014;
// torch.nn.GRU): the whole recurrence, forward and backward. B sequences, T rows in all, input size I, hidden
// size H, D directions; direction 1 starts at each sequence's own last row. The initial state is zero.
//   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)   z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
//   n = tanh(W_in x + b_in + r (W_hn h + b_hn))  h' = (1 - z) n + z h
// In bf16 views hold bf16; the state and its gradient are carried in fp32, and rounded where a product reads
// them. The projected input is rounded, too, and so are the gates' gradients.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

namespace gru {
// 2^-8 is by how much a number changes at most, of its size, when it is rounded to bf16.
inline Tolerance tolerance(DType dtype, double absolute) {
  return {.factor = 3, .floor = dtype == DType::bf16 ? 0x1p-8 : 5e-7, .absolute = absolute};
}
}  // namespace gru

struct GruSequence {
  static constexpr std::string_view name = "gru_sequence";
  static constexpr std::string_view backward = "gru_sequence_backward";

  struct Args {
    TensorView x;                                          // (T, I)
    TensorView cu_seqlens;                                 // (B + 1) i32; empty sequences are legal
    std::array<TensorView, 2> weight_ih;                   // (3H, I) of each direction: rows of r, of z, of n
    std::array<TensorView, 2> weight_hh;                   // (3H, H)
    std::array<TensorView, 2> bias_ih = {}, bias_hh = {};  // (3H), or all absent
    TensorView y;                                          // (T, D * H): forward, then reverse
    TensorView h_n;         // (D, B, H): state after the last step; 0 for an empty sequence
    TensorView gates = {};  // (D, T, 4H): r, z, n, W_hn h + b_hn, for the backward; absent in inference
    int hidden_size = 0;
    int directions = 1;
    int max_seqlen = 0;  // the longest sequence's rows
    bool tf32 = false;   // operands of products in f32 may be rounded to tf32
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a) { return {{"y", &a.y}, {"h_n", &a.h_n}, {"gates", &a.gates}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType dtype) { return gru::tolerance(dtype, 3e-7); }
};

struct GruSequenceBackward {
  static constexpr std::string_view name = "gru_sequence_backward";

  struct Args {
    TensorView dy = {};                                      // (T, D * H), or absent: zero
    TensorView dh_n = {};                                    // (D, B, H), or absent: zero
    TensorView x, y, gates;                                  // as the forward read and left them
    TensorView cu_seqlens;                                   // (B + 1) i32
    std::array<TensorView, 2> weight_ih;                     // (3H, I)
    std::array<TensorView, 2> weight_hh;                     // (3H, H)
    TensorView dx = {};                                      // (T, I), or absent: not wanted
    std::array<TensorView, 2> dweight_ih;                    // (3H, I)
    std::array<TensorView, 2> dweight_hh;                    // (3H, H)
    std::array<TensorView, 2> dbias_ih = {}, dbias_hh = {};  // (3H), or all absent
    int hidden_size = 0;
    int directions = 1;
    int max_seqlen = 0;  // the longest sequence's rows
    bool tf32 = false;   // operands of products in f32 may be rounded to tf32
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a);
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType dtype) { return gru::tolerance(dtype, 5e-7); }
};

}  // namespace tenon
