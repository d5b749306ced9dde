// Cases, costs and the plain CPU variant of dropout: in f64 the reference, in f32 the yardstick.
#include "kernels/dropout/dropout.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void forward(const DropoutOp::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.x.shape[1];
  const Sum scale = Sum(a.dropout.scale());
  for (int64_t row = 0; row < a.x.shape[0]; ++row) {
    const auto first = static_cast<uint64_t>(a.row_keys.as<int64_t>()[row]);
    for (int64_t i = 0; i < columns; ++i) {
      const bool kept = a.dropout.key(first + static_cast<uint64_t>(i)) >= a.dropout.threshold();
      const T x = a.x.as<T>()[row * columns + i];
      a.y.as<T>()[row * columns + i] = kept ? T(Sum(x) * scale) : T(0);
    }
  }
}

const Register<DropoutOp> plain{{.name = "plain",
                                 .device = Device::cpu,
                                 .dtypes = {DType::f64, DType::f32, DType::bf16},
                                 .run = [](const DropoutOp::Args& a, Stream&) {
                                   dispatch<double, float, bf16>(a.x.dtype,
                                                                 [&]<class T>() { forward<T>(a); });
                                 }}};

Case<DropoutOp::Args> make_case(DType dtype, int64_t rows, int64_t columns, double probability) {
  const TensorView x(nullptr, dtype, {rows, columns});
  const Dropout dropout{probability, {.seed = uint64_t{5} << 40, .step = 9, .operation = 77}};
  return {str(rows, "x", columns, " p ", probability),
          {x, {nullptr, DType::i64, {rows}}, x, dropout},
          false,
          [](DropoutOp::Args& a) { cases::put_row_keys(a.row_keys); }};
}

}  // namespace

const RegisterShapes<DropoutOp> shapes_of_dropout_op{
    "ROWSxCOLUMNS",
    [](DType dtype, const Extents& e) -> Case<DropoutOp::Args> { return make_case(dtype, e[0], e[1], 0.1); }};

std::vector<Case<DropoutOp::Args>> DropoutOp::cases(DType dtype) {
  struct Shape {
    int64_t rows, columns;
    double probability;
    bool large = false;
  };
  std::vector<Case<Args>> cases;
  for (const Shape& s : std::initializer_list<Shape>{{1, 1, 0.5},
                                                     {0, 8, 0.5},
                                                     {5, 33, 0.1},
                                                     {3, 1023, 0.25},
                                                     {64, 768, 0.1},
                                                     {64, 30, 0.999},
                                                     {7, 64, 0},
                                                     {4096, 768, 0.1, true}}) {
    cases.push_back(make_case(dtype, s.rows, s.columns, s.probability));
    cases.back().large = s.large;
  }
  return cases;
}

Cost DropoutOp::cost(const Args& a) {
  return {15 * static_cast<double>(a.x.size()), static_cast<double>(2 * a.x.bytes() + a.row_keys.bytes())};
}

}  // namespace tenon
