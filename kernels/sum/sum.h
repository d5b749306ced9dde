// Sums: of each column of a matrix (the gradient of a bias), and of all elements of a tensor. Additions are
// grouped by the shape alone. The gradient repeats one number, or one row, which takes no operation.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct SumRows {
  static constexpr std::string_view name = "sum_rows";

  struct Args {
    TensorView x;  // (M, N); rows may lie apart
    TensorView y;  // (N); zeros if M is 0
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  // Columns of normal numbers cancel: partial sums of a thousand are about 30, and are rounded as such.
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7, .absolute = 2e-5}; }
};

// y = scale * sum of x; scale = 1 / size makes it a mean.
struct SumAll {
  static constexpr std::string_view name = "sum_all";

  struct Args {
    TensorView x;  // any shape, contiguous
    TensorView y;  // (1)
    double scale = 1;
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  // One number has no neighbours to tell a typical error by: the plain sum may happen to be exact.
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 1e-6}; }
};

}  // namespace tenon
