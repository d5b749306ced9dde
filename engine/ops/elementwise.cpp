#include "engine/ops/support.h"
#include "kernels/cast/cast.h"
#include "kernels/copy/copy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/arithmetic.h"
#include "kernels/elementwise/unary.h"
#include "kernels/gelu/gelu.h"
#include "kernels/softmax/softmax.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

// alpha a + beta b; b may be undefined.
Tensor axpby(double alpha, const Tensor& a, double beta, const Tensor& b) {
  Tensor y = empty_like(a);
  run<Axpby>({.a = a.view(), .b = b.view(), .y = y.view(), .alpha = alpha, .beta = beta}, stream_of(a));
  return y;
}

Tensor scaled_sum(const Tensor& x, double factor) {
  Tensor y({1}, x.dtype(), x.device());
  run<SumAll>({.x = x.view(Shape{x.size()}), .y = y.view(), .scale = factor}, stream_of(x));
  return record("sum", y, {x}, [factor, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
    // One number for every element, which stays on the device: a view of it whose elements do not lie apart.
    const Tensor slope = axpby(factor, dy, 0, {}), dx(shape, dy.dtype(), dy.device());
    TensorView repeated = slope.view(), all = dx.view(Shape{dx.size()});
    repeated.shape[0] = dx.size();
    repeated.stride[0] = 0;
    run<Copy>({repeated, all}, stream_of(dy));
    return {dx};
  });
}

}  // namespace

Tensor gelu(const Tensor& x, bool tanh_form) {
  Tensor y = empty_like(x);
  run<Gelu>({x.view(), y.view(), tanh_form}, stream_of(x));
  return record("gelu", y, {x}, [x = x.detach(), tanh_form](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = empty_like(x);
    run<GeluBackward>({dy.view(), x.view(), dx.view(), tanh_form}, stream_of(x));
    return {dx};
  });
}

Tensor activation(const Tensor& x, std::string_view huggingface_name) {
  const UnaryKind kind = unary_kind(huggingface_name);
  Tensor y = empty_like(x);
  run<Unary>({x.view(), y.view(), kind}, stream_of(x));
  return record("unary", y, {x}, [x = x.detach(), kind](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = empty_like(x);
    run<UnaryBackward>({dy.view(), x.view(), dx.view(), kind}, stream_of(x));
    return {dx};
  });
}

Tensor softmax(const Tensor& x) {
  check_matrix("softmax", "x", x);
  Tensor y = empty_like(x);
  run<Softmax>({x.view(), y.view()}, stream_of(x));
  return record("softmax", y, {x}, [y = y.detach()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = empty_like(y);
    run<SoftmaxBackward>({dy.view(), y.view(), dx.view()}, stream_of(y));
    return {dx};
  });
}

Tensor dropout(const Tensor& x, const Tensor& row_keys, const Dropout& how) {
  if (!how.active()) return x;
  check_matrix("dropout", "x", x);
  check_vector("dropout", "row_keys", row_keys, x.size(0));
  Tensor y = empty_like(x);
  run<DropoutOp>({x.view(), row_keys.view(), y.view(), how}, stream_of(x));
  return record("dropout", y, {x}, [row_keys, how](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = empty_like(dy);
    run<DropoutOp>({dy.view(), row_keys.view(), dx.view(), how}, stream_of(dy));
    return {dx};
  });
}

Tensor add(const Tensor& a, const Tensor& b) {
  check_same("add", a, b);
  return record("add", axpby(1, a, 1, b), {a, b}, [](const Tensor& dy) -> std::vector<Tensor> {
    return {dy, dy};
  });
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  check_same("subtract", a, b);
  return record("subtract", axpby(1, a, -1, b), {a, b}, [](const Tensor& dy) -> std::vector<Tensor> {
    return {dy, axpby(-1, dy, 0, {})};
  });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  check_same("multiply", a, b);
  const auto product = [](const Tensor& x, const Tensor& y) {
    Tensor z = empty_like(x);
    run<Mul>({.a = x.view(), .b = y.view(), .y = z.view()}, stream_of(x));
    return z;
  };
  return record("multiply", product(a, b), {a, b},
                [=, a = a.detach(), b = b.detach()](const Tensor& dy) -> std::vector<Tensor> {
                  return {product(dy, b), product(dy, a)};
                });
}

Tensor scale(const Tensor& x, double factor) {
  return record("scale", axpby(factor, x, 0, {}), {x},
                [factor](const Tensor& dy) -> std::vector<Tensor> { return {axpby(factor, dy, 0, {})}; });
}

Tensor sum(const Tensor& x) { return scaled_sum(x, 1); }
Tensor mean(const Tensor& x) { return scaled_sum(x, 1.0 / static_cast<double>(x.size())); }

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const auto convert = [](const Tensor& from, DType to) {
    Tensor y(from.shape(), to, from.device());
    run<Cast>({.x = from.view(), .y = y.view()}, stream_of(from));
    return y;
  };
  return record(
      "cast", convert(x, dtype), {x},
      [convert, from = x.dtype()](const Tensor& dy) -> std::vector<Tensor> { return {convert(dy, from)}; });
}

}  // namespace tenon
