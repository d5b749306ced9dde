// Cases, costs and the plain CPU variant of binary cross entropy: in f64 the reference, in f32 the yardstick.
// A batch has a few hundred logits: there is nothing to speed up.
#include "kernels/bce_with_logits/bce_with_logits.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/bce_with_logits/formula.h"

namespace tenon {
namespace {

template <class T>
void forward(const BceWithLogits::Args& a) {
  using Sum = accumulator<T>;
  const int64_t size = a.logits.size();
  Sum sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    const auto term = bce_with_logits::term(Sum(a.logits.as<T>()[i]), Sum(a.labels.as<T>()[i]));
    sum += term.loss;
    if (a.slopes.defined()) a.slopes.as<T>()[i] = T(term.slope / Sum(size));
  }
  *a.loss.as<T>() = T(sum / Sum(size));
}

template <class T>
void backward(const BceWithLogitsBackward::Args& a) {
  using Sum = accumulator<T>;
  for (int64_t i = 0; i < a.slopes.size(); ++i)
    a.dlogits.as<T>()[i] = T(Sum(*a.dloss.as<T>()) * Sum(a.slopes.as<T>()[i]));
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<BceWithLogits> plain{{.name = "plain",
                                     .device = Device::cpu,
                                     .dtypes = plain_types,
                                     .run = [](const BceWithLogits::Args& a, Stream&) {
                                       dispatch<double, float, bf16>(a.logits.dtype,
                                                                     [&]<class T>() { forward<T>(a); });
                                     }}};
const Register<BceWithLogitsBackward> plain_backward{
    {.name = "plain",
     .device = Device::cpu,
     .dtypes = plain_types,
     .run = [](const BceWithLogitsBackward::Args& a, Stream&) {
       dispatch<double, float, bf16>(a.slopes.dtype, [&]<class T>() { backward<T>(a); });
     }}};

void fill(BceWithLogits::Args& a) { cases::put(a.labels, {1, 0, 0, 1, 1, 0.25}); }

}  // namespace

std::vector<Case<BceWithLogits::Args>> BceWithLogits::cases(DType dtype) {
  const auto make = [=](int64_t size) {
    const TensorView z(nullptr, dtype, {size});
    return Args{.logits = z, .labels = z, .loss = {nullptr, dtype, {1}}, .slopes = z};
  };
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 33, 128, 1023, 4100}) cases.push_back({str(size), make(size), false, fill});
  cases.push_back({"extreme", make(24), false, [](Args& a) {
                     fill(a);
                     cases::put(a.logits, {1e4, -1e4, 1e4, -1e4, 90, -90, 0, 1e-6});
                   }});
  Args inference = make(33);
  inference.slopes = {};
  cases.push_back({"inference", inference, false, fill});
  return cases;
}

std::vector<Case<BceWithLogitsBackward::Args>> BceWithLogitsBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 33, 1023}) {
    const TensorView z(nullptr, dtype, {size});
    cases.push_back({str(size), {.dloss = {nullptr, dtype, {1}}, .slopes = z, .dlogits = z}});
  }
  return cases;
}

const RegisterShapes<BceWithLogits> shapes_of_bce_with_logits{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<BceWithLogits::Args> {
      const TensorView z(nullptr, dtype, {e[0]});
      return {"", {.logits = z, .labels = z, .loss = {nullptr, dtype, {1}}, .slopes = z}, false, fill};
    }};

const RegisterShapes<BceWithLogitsBackward> shapes_of_bce_with_logits_backward{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<BceWithLogitsBackward::Args> {
      const TensorView z(nullptr, dtype, {e[0]});
      return {"", {.dloss = {nullptr, dtype, {1}}, .slopes = z, .dlogits = z}};
    }};

Cost BceWithLogits::cost(const Args& a) {
  return {25 * static_cast<double>(a.logits.size()),
          static_cast<double>(2 * a.logits.bytes() + (a.slopes.defined() ? a.slopes.bytes() : 0))};
}

Cost BceWithLogitsBackward::cost(const Args& a) {
  return {static_cast<double>(a.slopes.size()), static_cast<double>(2 * a.slopes.bytes())};
}

}  // namespace tenon
