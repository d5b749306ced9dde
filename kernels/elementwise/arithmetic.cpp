// Cases, costs and the plain CPU variants of arithmetic: in f64 the reference, in f32 the yardstick.
#include "kernels/elementwise/arithmetic.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void mul(const Mul::Args& a) {
  using Sum = accumulator<T>;
  for (int64_t i = 0; i < a.y.size(); ++i) a.y.as<T>()[i] = T(Sum(a.a.as<T>()[i]) * Sum(a.b.as<T>()[i]));
}

template <class T>
void axpby(const Axpby::Args& a) {
  using Sum = accumulator<T>;
  const Sum alpha = Sum(a.alpha), beta = Sum(a.beta);
  for (int64_t i = 0; i < a.y.size(); ++i) {
    const Sum scaled = alpha * Sum(a.a.as<T>()[i]);
    a.y.as<T>()[i] = T(a.b.defined() ? scaled + beta * Sum(a.b.as<T>()[i]) : scaled);
  }
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<Mul> plain_mul{
    {.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = [](const Mul::Args& a, Stream&) {
       dispatch<double, float, bf16>(a.a.dtype, [&]<class T>() { mul<T>(a); });
     }}};
const Register<Axpby> plain_axpby{
    {.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = [](const Axpby::Args& a, Stream&) {
       dispatch<double, float, bf16>(a.a.dtype, [&]<class T>() { axpby<T>(a); });
     }}};

}  // namespace

std::vector<Case<Mul::Args>> Mul::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 0, 33, 1023, 70'000, 10'000'000}) {
    const TensorView x(nullptr, dtype, {size});
    cases.push_back({str(size), {x, x, x}, size > 1'000'000, nullptr});
  }
  return cases;
}

std::vector<Case<Axpby::Args>> Axpby::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 0, 33, 1023, 70'000, 10'000'000}) {
    const TensorView x(nullptr, dtype, {size});
    cases.push_back({str(size), {x, x, x, 1, -0.7}, size > 1'000'000, nullptr});
  }
  const TensorView x(nullptr, dtype, {45});
  cases.push_back({"scale", {x, {}, x, 0.3, 1}, false, nullptr});
  return cases;
}

const RegisterShapes<Mul> shapes_of_mul{"ELEMENTS", [](DType dtype, const Extents& e) -> Case<Mul::Args> {
                                          const TensorView x(nullptr, dtype, {e[0]});
                                          return {"", {x, x, x}};
                                        }};

const RegisterShapes<Axpby> shapes_of_axpby{"ELEMENTS",
                                            [](DType dtype, const Extents& e) -> Case<Axpby::Args> {
                                              const TensorView x(nullptr, dtype, {e[0]});
                                              return {"", {x, x, x, 1, -0.7}};
                                            }};

Cost Mul::cost(const Args& a) {
  return {static_cast<double>(a.y.size()), static_cast<double>(3 * a.y.bytes())};
}

Cost Axpby::cost(const Args& a) {
  return {3 * static_cast<double>(a.y.size()), static_cast<double>((a.b.defined() ? 3 : 2) * a.y.bytes())};
}

}  // namespace tenon
