// Layer normalisation over the last dimension (Ba et al. 2016; torch.nn.LayerNorm), forward and backward.
//   y = (x - mean) * rstd * gamma + beta,  rstd = 1 / sqrt(variance + eps), variance over H with divisor H
// The variance is two-pass or Welford: rows with a large common offset must not lose it.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct LayerNorm {
  static constexpr std::string_view name = "layer_norm";
  static constexpr std::string_view backward = "layer_norm_backward";

  struct Args {
    TensorView x;            // (T, H)
    TensorView gamma, beta;  // (H)
    TensorView y;            // (T, H)
    TensorView mean, rstd;   // (T), f32 (f64 for f64): kept for the backward
    double eps = 1e-12;
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}, {"gamma", &a.gamma}, {"beta", &a.beta}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}, {"mean", &a.mean}, {"rstd", &a.rstd}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7, .absolute = 5e-8}; }
};

// dx, dgamma and dbeta from dy and what the forward kept. The sums over T rows are split by T alone.
struct LayerNormBackward {
  static constexpr std::string_view name = "layer_norm_backward";

  struct Args {
    TensorView dy, x;          // (T, H)
    TensorView gamma;          // (H)
    TensorView mean, rstd;     // (T)
    TensorView dx;             // (T, H)
    TensorView dgamma, dbeta;  // (H)
  };

  static NamedViews inputs(Args& a) {
    return {{"dy", &a.dy}, {"x", &a.x}, {"gamma", &a.gamma}, {"mean", &a.mean}, {"rstd", &a.rstd}};
  }
  static NamedViews outputs(Args& a) { return {{"dx", &a.dx}, {"dgamma", &a.dgamma}, {"dbeta", &a.dbeta}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7}; }
};

}  // namespace tenon
