// Dropout of packed rows (Srivastava et al. 2014; torch.nn.Dropout in training mode):
//   y = x * scale where element row_keys[t] + column is kept, else 0
// Its gradient is the same operation applied to dy. A probability of 0 copies.
#pragma once
#include "kernels/base/op.h"
#include "kernels/base/philox.h"

namespace tenon {

struct DropoutOp {
  static constexpr std::string_view name = "dropout";
  static constexpr std::string_view backward = "dropout";

  struct Args {
    TensorView x;         // (T, C)
    TensorView row_keys;  // (T) i64, multiples of 4
    TensorView y;         // (T, C)
    Dropout dropout;
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}, {"row_keys", &a.row_keys}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
