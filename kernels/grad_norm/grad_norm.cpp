// Cases, costs and the plain CPU variant of the norm of all gradients.
#include "kernels/grad_norm/grad_norm.h"

#include <cmath>

#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

void run(const GradNorm::Args& a, Stream&) {
  dispatch<double, float>(a.norm.dtype, [&]<class T>() {
    double sum = 0;
    for (const TensorView& grad : a.grads)
      for (int64_t i = 0; i < grad.size(); ++i) sum += double{grad.as<T>()[i]} * double{grad.as<T>()[i]};
    *a.norm.as<T>() = T(std::sqrt(sum));
  });
}

const Register<GradNorm> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run}};

}  // namespace

NamedViews GradNorm::inputs(Args& a) {
  NamedViews views;
  for (TensorView& view : a.grads) views.push_back({"grad", &view});
  return views;
}

std::vector<Case<GradNorm::Args>> GradNorm::cases(DType dtype) {
  const TensorView norm(nullptr, dtype, {1});
  const std::vector<TensorView> several = {
      {nullptr, dtype, {1}}, {nullptr, dtype, {0, 4}}, {nullptr, dtype, {33}}, {nullptr, dtype, {3, 20011}}};
  std::vector<Case<Args>> cases;
  cases.push_back({"nothing to train", {{}, norm}});
  cases.push_back({"one number", {{{nullptr, dtype, {1}}}, norm}});
  cases.push_back({"several tensors", {several, norm}});
  cases.push_back({"huge values", {several, norm}, false, [](Args& a) {
                     for (const TensorView& grad : a.grads)
                       for (int64_t i = 0; i < grad.size(); ++i) grad.as<float>()[i] *= 1e30f;
                   }});
  cases.push_back({"five hundred tensors", {std::vector<TensorView>(500, {nullptr, dtype, {3}}), norm}});
  cases.push_back({"a BiGRU and its head", {{{nullptr, dtype, {2759169}}}, norm}, true});
  return cases;
}

const RegisterShapes<GradNorm> shapes_of_grad_norm{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<GradNorm::Args> {
      return {"", {{{nullptr, dtype, {e[0]}}}, {nullptr, dtype, {1}}}};
    }};

Cost GradNorm::cost(const Args& a) {
  double elements = 0;
  for (const TensorView& grad : a.grads) elements += static_cast<double>(grad.size());
  return {2 * elements, elements * static_cast<double>(size_of(dtype(a)))};
}

}  // namespace tenon
