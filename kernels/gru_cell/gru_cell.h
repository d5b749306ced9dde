// One step of a gated recurrent unit from its two projections (torch.nn.GRUCell without the products):
//   r = sigmoid(xr + hr)   z = sigmoid(xz + hz)   n = tanh(xn + r hn)   h' = (1 - z) n + z h
// The backward computes the gates again. A whole recurrence in one call is GruSequence.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct GruCell {
  static constexpr std::string_view name = "gru_cell";
  static constexpr std::string_view backward = "gru_cell_backward";

  struct Args {
    TensorView x_gates;  // (B, 3H): W_ih x + b_ih, columns of r, of z, of n
    TensorView h_gates;  // (B, 3H): W_hh h + b_hh
    TensorView h;        // (B, H)
    TensorView h_next;   // (B, H)
  };

  static NamedViews inputs(Args& a) {
    return {{"x_gates", &a.x_gates}, {"h_gates", &a.h_gates}, {"h", &a.h}};
  }
  static NamedViews outputs(Args& a) { return {{"h_next", &a.h_next}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.h.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7, .absolute = 2e-7}; }
};

struct GruCellBackward {
  static constexpr std::string_view name = "gru_cell_backward";

  struct Args {
    TensorView dh_next;              // (B, H)
    TensorView x_gates, h_gates, h;  // as the forward read them
    TensorView dx_gates, dh_gates;   // (B, 3H)
    TensorView dh;                   // (B, H): the way through z only, not that through h_gates
  };

  static NamedViews inputs(Args& a) {
    return {{"dh_next", &a.dh_next}, {"x_gates", &a.x_gates}, {"h_gates", &a.h_gates}, {"h", &a.h}};
  }
  static NamedViews outputs(Args& a) {
    return {{"dx_gates", &a.dx_gates}, {"dh_gates", &a.dh_gates}, {"dh", &a.dh}};
  }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.h.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7, .absolute = 5e-7}; }
};

}  // namespace tenon
