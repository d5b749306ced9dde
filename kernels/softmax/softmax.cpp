// Cases, costs and the plain CPU variant of softmax: in f64 the reference, in f32 the yardstick.
#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void forward(const Softmax::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.x.shape[1];
  for (int64_t row = 0; row < a.x.shape[0]; ++row) {
    const T* x = a.x.as<T>() + row * columns;
    T* y = a.y.as<T>() + row * columns;
    Sum largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < columns; ++i) largest = std::max(largest, Sum(x[i]));
    for (int64_t i = 0; i < columns; ++i) sum += std::exp(Sum(x[i]) - largest);
    for (int64_t i = 0; i < columns; ++i) y[i] = T(std::exp(Sum(x[i]) - largest) / sum);
  }
}

template <class T>
void backward(const SoftmaxBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.y.shape[1];
  for (int64_t row = 0; row < a.y.shape[0]; ++row) {
    const T *y = a.y.as<T>() + row * columns, *dy = a.dy.as<T>() + row * columns;
    Sum dot = 0;
    for (int64_t i = 0; i < columns; ++i) dot += Sum(y[i]) * Sum(dy[i]);
    for (int64_t i = 0; i < columns; ++i) a.dx.as<T>()[row * columns + i] = T(Sum(y[i]) * (Sum(dy[i]) - dot));
  }
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<Softmax> plain{{.name = "plain",
                               .device = Device::cpu,
                               .dtypes = plain_types,
                               .run = [](const Softmax::Args& a, Stream&) {
                                 dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() { forward<T>(a); });
                               }}};
const Register<SoftmaxBackward> plain_backward{{.name = "plain",
                                                .device = Device::cpu,
                                                .dtypes = plain_types,
                                                .run = [](const SoftmaxBackward::Args& a, Stream&) {
                                                  dispatch<double, float, bf16>(
                                                      a.y.dtype, [&]<class T>() { backward<T>(a); });
                                                }}};

struct Shape {
  int64_t rows, columns;
  bool large = false;
};
constexpr Shape shapes[] = {{1, 1},    {0, 4},    {7, 1},     {5, 33},
                            {3, 1023}, {64, 512}, {2, 30522}, {49152, 512, true}};

// Rows that sum to about one.
void put_probabilities(SoftmaxBackward::Args& a) {
  cases::affine(a.y, 1.0 / static_cast<double>(a.y.shape[1]), 0);
}

}  // namespace

std::vector<Case<Softmax::Args>> Softmax::cases(DType dtype) {
  const auto make = [&](int64_t rows, int64_t columns) {
    const TensorView x(nullptr, dtype, {rows, columns});
    return Args{x, x};
  };
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes)
    cases.push_back({str(s.rows, "x", s.columns), make(s.rows, s.columns), s.large, nullptr});
  cases.push_back({"near overflow", make(3, 33), false, [](Args& a) { cases::affine(a.x, 1e37, 0); }});
  cases.push_back({"large offset", make(3, 33), false, [](Args& a) { cases::affine(a.x, 1, -1e4); }});
  cases.push_back({"masked", make(2, 33), false, [](Args& a) {
                     cases::put(a.x, {-INFINITY, 0, 1, -INFINITY, -1e4, 2});
                   }});
  return cases;
}

std::vector<Case<SoftmaxBackward::Args>> SoftmaxBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) {
    const TensorView y(nullptr, dtype, {s.rows, s.columns});
    cases.push_back({str(s.rows, "x", s.columns), {y, y, y}, s.large, put_probabilities});
  }
  return cases;
}

const RegisterShapes<Softmax> shapes_of_softmax{"ROWSxCOLUMNS",
                                                [](DType dtype, const Extents& e) -> Case<Softmax::Args> {
                                                  const TensorView x(nullptr, dtype, {e[0], e[1]});
                                                  return {"", {x, x}};
                                                }};

const RegisterShapes<SoftmaxBackward> shapes_of_softmax_backward{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<SoftmaxBackward::Args> {
      const TensorView y(nullptr, dtype, {e[0], e[1]});
      return {"", {y, y, y}, false, put_probabilities};
    }};

Cost Softmax::cost(const Args& a) {
  return {12 * static_cast<double>(a.x.size()), static_cast<double>(2 * a.x.bytes())};
}

Cost SoftmaxBackward::cost(const Args& a) {
  return {4 * static_cast<double>(a.y.size()), static_cast<double>(3 * a.y.bytes())};
}

}  // namespace tenon
