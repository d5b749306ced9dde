// Rows picked by index (torch.index_select over dimension 0), forward and backward: y[m] = x[index[m]].
// An index outside x throws; found by a kernel of a GPU, when the host next waits for the device
// (kernels/base/index_fault.h).
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct GatherRows {
  static constexpr std::string_view name = "gather_rows";
  static constexpr std::string_view backward = "gather_rows_backward";

  struct Args {
    TensorView x;      // (T, H)
    TensorView index;  // (M) i32
    TensorView y;      // (M, H)
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}, {"index", &a.index}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 1}; }  // a copy
};

// dx[t] = sum of dy[m] over index[m] == t, in an order that the index alone decides; rows that nothing picked
// become zero.
struct GatherRowsBackward {
  static constexpr std::string_view name = "gather_rows_backward";

  struct Args {
    TensorView dy;     // (M, H)
    TensorView index;  // (M) i32
    TensorView dx;     // (T, H)
  };

  static NamedViews inputs(Args& a) { return {{"dy", &a.dy}, {"index", &a.index}}; }
  static NamedViews outputs(Args& a) { return {{"dx", &a.dx}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.dy.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

// Throws unless every element of index, which the host must be able to read, is in [0, rows).
void check_gather_index(const TensorView& index, int64_t rows);

}  // namespace tenon
