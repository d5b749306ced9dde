// Copies elements between two views of equal sizes and any strides: slices, transposes, concatenation.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Copy {
  static constexpr std::string_view name = "copy";
  static constexpr std::string_view backward = "copy";  // with x and y exchanged

  struct Args {
    TensorView x, y;  // equal shapes and element types; strides may differ, elements of y must not overlap
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a) { return {0, static_cast<double>(2 * a.x.bytes())}; }
  static Tolerance tolerance(DType) { return {.factor = 0, .floor = 0}; }
};

}  // namespace tenon
