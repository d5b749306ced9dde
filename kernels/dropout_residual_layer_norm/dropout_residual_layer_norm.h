// The end of each half of a BERT layer (BertSelfOutput, BertOutput) in one pass, forward and backward:
//   sum = residual + dropout(x),  y = layer_norm(sum)
// y normalises the sum as it is rounded to its element type, so that the backward sees the same numbers.
#pragma once
#include "kernels/base/op.h"
#include "kernels/base/philox.h"

namespace tenon {

struct DropoutResidualLayerNorm {
  static constexpr std::string_view name = "dropout_residual_layer_norm";
  static constexpr std::string_view backward = "dropout_residual_layer_norm_backward";

  struct Args {
    TensorView x, residual;  // (T, H)
    TensorView gamma, beta;  // (H)
    TensorView row_keys;     // (T) i64, multiples of 4; may be absent where dropout is not active
    TensorView y;            // (T, H)
    TensorView sum;          // (T, H), kept for the backward; may be absent
    TensorView mean, rstd;   // (T), f32 (f64 for f64), kept for the backward
    double eps = 1e-12;
    Dropout dropout;  // of x: element row_keys[t] + column
  };

  static NamedViews inputs(Args& a) {
    return {{"x", &a.x},
            {"residual", &a.residual},
            {"gamma", &a.gamma},
            {"beta", &a.beta},
            {"row_keys", &a.row_keys}};
  }
  static NamedViews outputs(Args& a) {
    return {{"y", &a.y}, {"sum", &a.sum}, {"mean", &a.mean}, {"rstd", &a.rstd}};
  }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7, .absolute = 5e-8}; }
};

// dresidual is the gradient of the sum, dx that times the mask of the forward.
struct DropoutResidualLayerNormBackward {
  static constexpr std::string_view name = "dropout_residual_layer_norm_backward";

  struct Args {
    TensorView dy, sum;        // (T, H)
    TensorView gamma;          // (H)
    TensorView mean, rstd;     // (T)
    TensorView row_keys;       // (T) i64; may be absent where dropout is not active
    TensorView dx;             // (T, H); may be absent where dropout is not active: it would equal dresidual
    TensorView dresidual;      // (T, H)
    TensorView dgamma, dbeta;  // (H)
    Dropout dropout;
  };

  static NamedViews inputs(Args& a) {
    return {{"dy", &a.dy},     {"sum", &a.sum},   {"gamma", &a.gamma},
            {"mean", &a.mean}, {"rstd", &a.rstd}, {"row_keys", &a.row_keys}};
  }
  static NamedViews outputs(Args& a) {
    return {{"dx", &a.dx}, {"dresidual", &a.dresidual}, {"dgamma", &a.dgamma}, {"dbeta", &a.dbeta}};
  }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.dy.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7}; }
};

}  // namespace tenon
