// Cases, costs and the plain CPU variant of layer normalisation: in f64 the reference, in f32 the yardstick.
#include "kernels/layer_norm/layer_norm.h"

#include <cmath>

#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/layer_norm/rows.h"

namespace tenon {
namespace {

struct Shape {
  int64_t rows, columns;
  bool large = false;
};
// One row, one column, off every vector width, then BERT's own; many short rows.
constexpr Shape shapes[] = {{1, 1},    {0, 8},     {5, 1},     {1, 33},   {3, 1023},
                            {64, 384}, {130, 768}, {1030, 12}, {4, 4097}, {4096, 768, true}};

DType statistics(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

LayerNorm::Args make(DType dtype, Shape s) {
  const DType stats = statistics(dtype);
  return {.x = {nullptr, dtype, {s.rows, s.columns}},
          .gamma = {nullptr, dtype, {s.columns}},
          .beta = {nullptr, dtype, {s.columns}},
          .y = {nullptr, dtype, {s.rows, s.columns}},
          .mean = {nullptr, stats, {s.rows}},
          .rstd = {nullptr, stats, {s.rows}}};
}

LayerNormBackward::Args make_backward(DType dtype, Shape s) {
  const DType stats = statistics(dtype);
  return {.dy = {nullptr, dtype, {s.rows, s.columns}},
          .x = {nullptr, dtype, {s.rows, s.columns}},
          .gamma = {nullptr, dtype, {s.columns}},
          .mean = {nullptr, stats, {s.rows}},
          .rstd = {nullptr, stats, {s.rows}},
          .dx = {nullptr, dtype, {s.rows, s.columns}},
          .dgamma = {nullptr, dtype, {s.columns}},
          .dbeta = {nullptr, dtype, {s.columns}}};
}

void transform(const TensorView& x, float scale, float offset) {
  dispatch<float, bf16>(x.dtype, [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) x.as<T>()[i] = T(float(x.as<T>()[i]) * scale + offset);
  });
}

void make_positive(const TensorView& rstd) {
  for (int64_t i = 0; i < rstd.size(); ++i) rstd.as<float>()[i] = 0.5f + std::fabs(rstd.as<float>()[i]);
}

template <class T>
void forward(const LayerNorm::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.x.shape[1];
  for (int64_t row = 0; row < a.x.shape[0]; ++row)
    layer_norm::forward_row<T>(a.x.as<T>() + row * columns, a.gamma.as<T>(), a.beta.as<T>(), columns, a.eps,
                               a.y.as<T>() + row * columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row]);
}

template <class T>
void backward(const LayerNormBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  std::vector<Sum> dgamma(columns), dbeta(columns);
  for (int64_t row = 0; row < rows; ++row)
    layer_norm::backward_row(a.dy.as<T>() + row * columns, a.x.as<T>() + row * columns, a.gamma.as<T>(),
                             columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row],
                             a.dx.as<T>() + row * columns, dgamma.data(), dbeta.data());
  for (int64_t i = 0; i < columns; ++i) {
    a.dgamma.as<T>()[i] = T(dgamma[i]);
    a.dbeta.as<T>()[i] = T(dbeta[i]);
  }
}

const Register<LayerNorm> plain{{.name = "plain",
                                 .device = Device::cpu,
                                 .dtypes = {DType::f64, DType::f32, DType::bf16},
                                 .run = [](const LayerNorm::Args& a, Stream&) {
                                   dispatch<double, float, bf16>(a.x.dtype,
                                                                 [&]<class T>() { forward<T>(a); });
                                 }}};
const Register<LayerNormBackward> plain_backward{{.name = "plain",
                                                  .device = Device::cpu,
                                                  .dtypes = {DType::f64, DType::f32, DType::bf16},
                                                  .run = [](const LayerNormBackward::Args& a, Stream&) {
                                                    dispatch<double, float, bf16>(
                                                        a.x.dtype, [&]<class T>() { backward<T>(a); });
                                                  }}};

}  // namespace

std::vector<Case<LayerNorm::Args>> LayerNorm::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes)
    cases.push_back({str(s.rows, "x", s.columns), make(dtype, s), s.large, nullptr});
  const Shape s{3, 257};
  cases.push_back({"offset mean", make(dtype, s), false, [](Args& a) { transform(a.x, 1, 1000); }});
  cases.push_back({"huge values", make(dtype, s), false, [](Args& a) { transform(a.x, 1e17f, 0); }});
  cases.push_back({"constant rows", make(dtype, s), false, [](Args& a) {
                     a.eps = 1e-5;
                     transform(a.x, 0, 3);
                   }});
  return cases;
}

std::vector<Case<LayerNormBackward::Args>> LayerNormBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes)
    cases.push_back({str(s.rows, "x", s.columns), make_backward(dtype, s), s.large,
                     [](Args& a) { make_positive(a.rstd); }});
  return cases;
}

const RegisterShapes<LayerNorm> shapes_of_layer_norm{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<LayerNorm::Args> {
      return {"", make(dtype, {e[0], e[1]})};
    }};

const RegisterShapes<LayerNormBackward> shapes_of_layer_norm_backward{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<LayerNormBackward::Args> {
      return {"", make_backward(dtype, {e[0], e[1]}), false,
              [](LayerNormBackward::Args& a) { make_positive(a.rstd); }};
    }};

Cost LayerNorm::cost(const Args& a) {
  const auto elements = static_cast<double>(a.x.size());
  return {8 * elements, static_cast<double>(2 * a.x.bytes() + 2 * a.gamma.bytes() + 2 * a.mean.bytes())};
}

Cost LayerNormBackward::cost(const Args& a) {
  const auto elements = static_cast<double>(a.x.size());
  return {14 * elements, static_cast<double>(3 * a.x.bytes() + 3 * a.gamma.bytes() + 2 * a.mean.bytes())};
}

}  // namespace tenon
