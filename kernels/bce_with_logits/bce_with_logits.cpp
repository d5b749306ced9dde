// Cases, costs and the plain CPU variant of binary cross entropy: in f64 the reference, in f32 the yardstick.
// A batch has a few hundred logits: there is nothing to speed up.
#include "kernels/bce_with_logits/bce_with_logits.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void forward(const BceWithLogits::Args& a) {
  using Sum = accumulator<T>;
  const int64_t size = a.logits.size();
  Sum sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    const Sum z = Sum(a.logits.as<T>()[i]);
    sum += std::max(z, Sum(0)) - z * Sum(a.labels.as<T>()[i]) + std::log1p(std::exp(-std::abs(z)));
  }
  *a.loss.as<T>() = T(sum / Sum(size));
}

template <class T>
void backward(const BceWithLogitsBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t size = a.logits.size();
  const Sum factor = Sum(*a.dloss.as<T>()) / Sum(size);
  for (int64_t i = 0; i < size; ++i) {
    const Sum z = Sum(a.logits.as<T>()[i]), e = std::exp(-std::abs(z));
    const Sum sigmoid = (z >= 0 ? Sum(1) : e) / (Sum(1) + e);
    a.dlogits.as<T>()[i] = T(factor * (sigmoid - Sum(a.labels.as<T>()[i])));
  }
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
       dispatch<double, float, bf16>(a.logits.dtype, [&]<class T>() { backward<T>(a); });
     }}};

template <class Args>
void fill(Args& a, bool extreme) {
  cases::put(a.labels, {1, 0, 0, 1, 1, 0.25});
  if (extreme) cases::put(a.logits, {1e4, -1e4, 1e4, -1e4, 90, -90, 0, 1e-6});
}

template <class Args, class Make>
std::vector<Case<Args>> make_cases(const Make& make) {
  std::vector<Case<Args>> cases;
  for (int64_t size : {1, 33, 128, 1023})
    cases.push_back({str(size), make(size), false, [](Args& a) { fill(a, false); }});
  cases.push_back({"extreme", make(24), false, [](Args& a) { fill(a, true); }});
  return cases;
}

}  // namespace

std::vector<Case<BceWithLogits::Args>> BceWithLogits::cases(DType dtype) {
  return make_cases<Args>([=](int64_t size) {
    const TensorView z(nullptr, dtype, {size});
    return Args{z, z, {nullptr, dtype, {1}}};
  });
}

std::vector<Case<BceWithLogitsBackward::Args>> BceWithLogitsBackward::cases(DType dtype) {
  return make_cases<Args>([=](int64_t size) {
    const TensorView z(nullptr, dtype, {size});
    return Args{{nullptr, dtype, {1}}, z, z, z};
  });
}

Cost BceWithLogits::cost(const Args& a) {
  return {20 * static_cast<double>(a.logits.size()), static_cast<double>(2 * a.logits.bytes())};
}

Cost BceWithLogitsBackward::cost(const Args& a) {
  return {12 * static_cast<double>(a.logits.size()), static_cast<double>(3 * a.logits.bytes())};
}

}  // namespace tenon
