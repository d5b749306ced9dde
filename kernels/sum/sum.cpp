// Cases, costs and the plain CPU variants of sums: in f64 the reference, in f32 the yardstick.
#include "kernels/sum/sum.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void sum_rows(const SumRows::Args& a) {
  using Sum = accumulator<T>;
  for (int64_t column = 0; column < a.x.shape[1]; ++column) {
    Sum sum = 0;
    for (int64_t row = 0; row < a.x.shape[0]; ++row) sum += Sum(a.x.as<T>()[row * a.x.stride[0] + column]);
    a.y.as<T>()[column] = T(sum);
  }
}

template <class T>
void sum_all(const SumAll::Args& a) {
  using Sum = accumulator<T>;
  Sum sum = 0;
  for (int64_t i = 0; i < a.x.size(); ++i) sum += Sum(a.x.as<T>()[i]);
  *a.y.as<T>() = T(Sum(a.scale) * sum);
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<SumRows> plain_rows{{.name = "plain",
                                    .device = Device::cpu,
                                    .dtypes = plain_types,
                                    .run = [](const SumRows::Args& a, Stream&) {
                                      dispatch<double, float, bf16>(a.x.dtype,
                                                                    [&]<class T>() { sum_rows<T>(a); });
                                    }}};
const Register<SumAll> plain_all{{.name = "plain",
                                  .device = Device::cpu,
                                  .dtypes = plain_types,
                                  .run = [](const SumAll::Args& a, Stream&) {
                                    dispatch<double, float, bf16>(a.x.dtype,
                                                                  [&]<class T>() { sum_all<T>(a); });
                                  }}};

// A sum that cancels has no relative error to speak of.
void put_mean_of_one(SumAll::Args& a) { cases::affine(a.x, 0.3, 1); }

}  // namespace

std::vector<Case<SumRows::Args>> SumRows::cases(DType dtype) {
  struct Shape {
    int64_t rows, columns, stride;
    bool large = false;
  };
  std::vector<Case<Args>> cases;
  for (const Shape& s : std::initializer_list<Shape>{{1, 1, 1},
                                                     {0, 5, 5},
                                                     {1023, 1, 3},
                                                     {1, 33, 33},
                                                     {65, 100, 300},
                                                     {300, 768, 768},
                                                     {4096, 3072, 3072, true}}) {
    Args a{{nullptr, dtype, {s.rows, s.columns}}, {nullptr, dtype, {s.columns}}};
    a.x.stride[0] = s.stride;
    cases.push_back({str(s.rows, "x", s.columns, " by ", s.stride), a, s.large, nullptr});
  }
  return cases;
}

std::vector<Case<SumAll::Args>> SumAll::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 0, 33, 1023, 100'000, 20'000'000}) {
    const Args a{{nullptr, dtype, {size}}, {nullptr, dtype, {1}}, size == 33 ? 1.0 / 33 : 1.0};
    cases.push_back({str(size), a, size > 1'000'000, put_mean_of_one});
  }
  return cases;
}

const RegisterShapes<SumRows> shapes_of_sum_rows{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<SumRows::Args> {
      return {"", {{nullptr, dtype, {e[0], e[1]}}, {nullptr, dtype, {e[1]}}}};
    }};

const RegisterShapes<SumAll> shapes_of_sum_all{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<SumAll::Args> {
      return {"", {{nullptr, dtype, {e[0]}}, {nullptr, dtype, {1}}}, false, put_mean_of_one};
    }};

Cost SumRows::cost(const Args& a) {
  return {static_cast<double>(a.x.size()), static_cast<double>(a.x.bytes() + a.y.bytes())};
}

Cost SumAll::cost(const Args& a) {
  return {static_cast<double>(a.x.size()), static_cast<double>(a.x.bytes())};
}

}  // namespace tenon
