// Arithmetic on tensors of equal shape. Gradients are these operations again: of a product `mul`, of a linear
// combination `axpby`.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

// y = a b
struct Mul {
  static constexpr std::string_view name = "mul";
  static constexpr std::string_view backward = "mul";

  struct Args {
    TensorView a, b, y;  // any shape, contiguous, equal
  };

  static NamedViews inputs(Args& a) { return {{"a", &a.a}, {"b", &a.b}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.a.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 1e-7}; }
};

// y = alpha a + beta b; y may be a itself, element by element.
struct Axpby {
  static constexpr std::string_view name = "axpby";
  static constexpr std::string_view backward = "axpby";

  struct Args {
    TensorView a;
    TensorView b;  // absent: y = alpha a
    TensorView y;  // any shape, contiguous, equal
    double alpha = 1, beta = 1;
  };

  static NamedViews inputs(Args& a) { return {{"a", &a.a}, {"b", &a.b}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.a.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
