// Cases, costs and the plain CPU variant of dropout + residual + layer norm: in f64 the reference, in f32 the
// yardstick.
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"

#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/layer_norm/rows.h"

namespace tenon {
namespace {

// What dropout multiplies element (row, column) by.
template <class Sum, class Args>
Sum factor(const Args& a, int64_t row, int64_t column) {
  if (!a.dropout.active()) return Sum(1);
  const auto element = static_cast<uint64_t>(a.row_keys.template as<int64_t>()[row] + column);
  return a.dropout.key(element) >= a.dropout.threshold() ? Sum(a.dropout.scale()) : Sum(0);
}

template <class T>
void forward(const DropoutResidualLayerNorm::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.x.shape[1];
  std::vector<T> sum(columns);
  for (int64_t row = 0; row < a.x.shape[0]; ++row) {
    const T *x = a.x.as<T>() + row * columns, *residual = a.residual.as<T>() + row * columns;
    for (int64_t i = 0; i < columns; ++i) sum[i] = T(Sum(residual[i]) + Sum(x[i]) * factor<Sum>(a, row, i));
    if (a.sum.defined()) std::copy(sum.begin(), sum.end(), a.sum.as<T>() + row * columns);
    layer_norm::forward_row<T>(sum.data(), a.gamma.as<T>(), a.beta.as<T>(), columns, a.eps,
                               a.y.as<T>() + row * columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row]);
  }
}

template <class T>
void backward(const DropoutResidualLayerNormBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.dy.shape[1];
  std::vector<Sum> dgamma(columns), dbeta(columns), dsum(columns);
  for (int64_t row = 0; row < a.dy.shape[0]; ++row) {
    layer_norm::backward_row(a.dy.as<T>() + row * columns, a.sum.as<T>() + row * columns, a.gamma.as<T>(),
                             columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row], dsum.data(),
                             dgamma.data(), dbeta.data());
    for (int64_t i = 0; i < columns; ++i) {
      a.dresidual.as<T>()[row * columns + i] = T(dsum[i]);
      if (a.dx.defined()) a.dx.as<T>()[row * columns + i] = T(dsum[i] * factor<Sum>(a, row, i));
    }
  }
  for (int64_t i = 0; i < columns; ++i) {
    a.dgamma.as<T>()[i] = T(dgamma[i]);
    a.dbeta.as<T>()[i] = T(dbeta[i]);
  }
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<DropoutResidualLayerNorm> plain{{.name = "plain",
                                                .device = Device::cpu,
                                                .dtypes = plain_types,
                                                .run = [](const DropoutResidualLayerNorm::Args& a, Stream&) {
                                                  dispatch<double, float, bf16>(
                                                      a.x.dtype, [&]<class T>() { forward<T>(a); });
                                                }}};
const Register<DropoutResidualLayerNormBackward> plain_backward{
    {.name = "plain",
     .device = Device::cpu,
     .dtypes = plain_types,
     .run = [](const DropoutResidualLayerNormBackward::Args& a, Stream&) {
       dispatch<double, float, bf16>(a.dy.dtype, [&]<class T>() { backward<T>(a); });
     }}};

struct Shape {
  int64_t rows, columns;
  double dropout;
  bool lean = false;  // without what may be absent
  bool large = false;
};
constexpr Shape shapes[] = {{1, 1, 0},
                            {0, 8, 0.1},
                            {5, 1, 0.5},
                            {1, 33, 0.1},
                            {3, 1023, 0.1},
                            {70, 384, 0},
                            {70, 384, 0, true},
                            {130, 768, 0.1},
                            {4, 4097, 0.1},
                            {4096, 768, 0, true, true},
                            {4096, 768, 0.1, false, true}};

std::string title(const Shape& s) {
  return str(s.rows, "x", s.columns, " p ", s.dropout, s.lean ? " lean" : "");
}

Dropout dropout_of(const Shape& s) { return {s.dropout, {.seed = 11, .step = 2, .operation = 5}}; }

DropoutResidualLayerNorm::Args make_args(DType dtype, const Shape& s) {
  DropoutResidualLayerNorm::Args a;
  a.x = a.residual = a.y = a.sum = {nullptr, dtype, {s.rows, s.columns}};
  a.gamma = a.beta = {nullptr, dtype, {s.columns}};
  a.mean = a.rstd = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.rows}};
  a.row_keys = {nullptr, DType::i64, {s.rows}};
  if (s.lean) a.sum = a.row_keys = {};
  a.dropout = dropout_of(s);
  return a;
}

Case<DropoutResidualLayerNorm::Args> make_case(DType dtype, const Shape& s) {
  return {title(s), make_args(dtype, s), s.large,
          [](DropoutResidualLayerNorm::Args& a) { cases::put_row_keys(a.row_keys); }};
}

Case<DropoutResidualLayerNormBackward::Args> make_backward_case(DType dtype, const Shape& s) {
  DropoutResidualLayerNormBackward::Args a;
  a.dy = a.sum = a.dx = a.dresidual = {nullptr, dtype, {s.rows, s.columns}};
  a.gamma = a.dgamma = a.dbeta = {nullptr, dtype, {s.columns}};
  a.mean = a.rstd = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.rows}};
  a.row_keys = {nullptr, DType::i64, {s.rows}};
  if (s.lean) a.dx = a.row_keys = {};
  a.dropout = dropout_of(s);
  return {title(s), a, s.large, [](DropoutResidualLayerNormBackward::Args& filled) {
            cases::put_row_keys(filled.row_keys);
            cases::affine(filled.rstd, 0.1, 1);
          }};
}

}  // namespace

std::vector<Case<DropoutResidualLayerNorm::Args>> DropoutResidualLayerNorm::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_case(dtype, s));
  const Shape s{3, 257, 0.1};
  cases.push_back({"offset mean", make_args(dtype, s), false, [](Args& a) {
                     cases::put_row_keys(a.row_keys);
                     cases::affine(a.residual, 1, 1000);
                   }});
  cases.push_back({"huge values", make_args(dtype, s), false, [](Args& a) {
                     cases::put_row_keys(a.row_keys);
                     cases::affine(a.x, 1e17, 0);
                   }});
  return cases;
}

std::vector<Case<DropoutResidualLayerNormBackward::Args>> DropoutResidualLayerNormBackward::cases(
    DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_backward_case(dtype, s));
  return cases;
}

const RegisterShapes<DropoutResidualLayerNorm> shapes_of_dropout_residual_layer_norm{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<DropoutResidualLayerNorm::Args> {
      return make_case(dtype, {e[0], e[1], 0.1});
    }};

const RegisterShapes<DropoutResidualLayerNormBackward> shapes_of_dropout_residual_layer_norm_backward{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<DropoutResidualLayerNormBackward::Args> {
      return make_backward_case(dtype, {e[0], e[1], 0.1});
    }};

Cost DropoutResidualLayerNorm::cost(const Args& a) {
  const auto elements = static_cast<double>(a.x.size());
  return {(a.dropout.active() ? 24 : 9) * elements,
          static_cast<double>(3 * a.x.bytes() + (a.sum.defined() ? a.sum.bytes() : 0) + 2 * a.gamma.bytes() +
                              2 * a.mean.bytes())};
}

Cost DropoutResidualLayerNormBackward::cost(const Args& a) {
  const auto elements = static_cast<double>(a.dy.size());
  return {(a.dropout.active() ? 30 : 15) * elements,
          static_cast<double>(3 * a.dy.bytes() + (a.dx.defined() ? a.dx.bytes() : 0) + 3 * a.gamma.bytes() +
                              2 * a.mean.bytes())};
}

}  // namespace tenon
