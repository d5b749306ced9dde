// Conversion between floating element types, rounded to nearest even (torch.Tensor.to). Beyond the range of
// the target is infinity; NaN stays NaN.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Cast {
  static constexpr std::string_view name = "cast";
  static constexpr std::string_view backward = "cast";

  struct Args {
    TensorView x;  // any shape, contiguous; f32, bf16, f16 or f64
    TensorView y;  // the same shape; f32, bf16, f16 or f64
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16, DType::f16, DType::f64}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 1}; }  // rounding is defined to the bit
};

}  // namespace tenon
