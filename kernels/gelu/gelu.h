// Gaussian error linear unit (Hendrycks and Gimpel 2016), forward and backward.
//   erf form:  0.5 x (1 + erf(x / sqrt(2)))                              torch.nn.GELU(), BERT's "gelu"
//   tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))         approximate="tanh", "gelu_new"
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Gelu {
  static constexpr std::string_view name = "gelu";
  static constexpr std::string_view backward = "gelu_backward";

  struct Args {
    TensorView x, y;  // any shape, contiguous, equal
    bool tanh_form = false;
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

struct GeluBackward {
  static constexpr std::string_view name = "gelu_backward";

  struct Args {
    TensorView dy, x, dx;  // any shape, contiguous, equal
    bool tanh_form = false;
  };

  static NamedViews inputs(Args& a) { return {{"dy", &a.dy}, {"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"dx", &a.dx}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
