#include "engine/ops/support.h"
#include "kernels/copy/copy.h"
#include "kernels/gather_rows/gather_rows.h"

namespace tenon {
namespace {

// Columns [begin, begin + columns) of a matrix.
TensorView columns_of(const Tensor& matrix, int64_t begin, int64_t columns) {
  TensorView view = matrix.view();
  view.shape[1] = columns;
  view.data = view.as<char>() + static_cast<size_t>(begin) * size_of(view.dtype);
  return view;
}

}  // namespace

Tensor reshape(const Tensor& x, Shape shape) {
  return record(
      "reshape", x.reshaped(shape), {x},
      [before = x.shape()](const Tensor& dy) -> std::vector<Tensor> { return {dy.reshaped(before)}; });
}

Tensor slice_rows(const Tensor& x, int64_t begin, int64_t end) {
  return record("slice_rows", x.rows(begin, end), {x},
                [begin, end, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
                  dx.rows(begin, end).copy_from(dy);
                  return {dx};
                });
}

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  check_matrix("gather_rows", "x", x);
  Tensor y({index.size(), x.size(1)}, x.dtype(), x.device());
  run<GatherRows>({.x = x.view(), .index = index.view(), .y = y.view()}, stream_of(x));
  return record("gather_rows", y, {x}, [index, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(shape, dy.dtype(), dy.device());
    run<GatherRowsBackward>({.dy = dy.view(), .index = index.view(), .dx = dx.view()}, stream_of(dy));
    return {dx};
  });
}

Tensor concat_columns(const Tensor& a, const Tensor& b) {
  check_matrix("concat_columns", "a", a);
  check_matrix("concat_columns", "b", b);
  check(a.size(0) == b.size(0) && a.dtype() == b.dtype(), "concat_columns: the shapes ", a.shape(), " and ",
        b.shape(), " do not fit");
  const int64_t left = a.size(1), right = b.size(1);
  Tensor y({a.size(0), left + right}, a.dtype(), a.device());
  run<Copy>({a.view(), columns_of(y, 0, left)}, stream_of(a));
  run<Copy>({b.view(), columns_of(y, left, right)}, stream_of(a));
  return record("concat_columns", y, {a, b}, [left, right](const Tensor& dy) -> std::vector<Tensor> {
    Tensor da({dy.size(0), left}, dy.dtype(), dy.device()), db({dy.size(0), right}, dy.dtype(), dy.device());
    run<Copy>({columns_of(dy, 0, left), da.view()}, stream_of(dy));
    run<Copy>({columns_of(dy, left, right), db.view()}, stream_of(dy));
    return {da, db};
  });
}

}  // namespace tenon
