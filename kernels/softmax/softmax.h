// Softmax over the last dimension (torch.nn.functional.softmax), forward and backward:
//   y = exp(x - max) / sum,   dx = y (dy - y . dy)
// A row that is -inf throughout gives NaN, as in PyTorch.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Softmax {
  static constexpr std::string_view name = "softmax";
  static constexpr std::string_view backward = "softmax_backward";

  struct Args {
    TensorView x, y;  // (M, N)
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7}; }
};

struct SoftmaxBackward {
  static constexpr std::string_view name = "softmax_backward";

  struct Args {
    TensorView dy, y, dx;  // (M, N)
  };

  static NamedViews inputs(Args& a) { return {{"dy", &a.dy}, {"y", &a.y}}; }
  static NamedViews outputs(Args& a) { return {{"dx", &a.dx}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.y.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7, .absolute = 1e-8}; }
};

}  // namespace tenon
