// Cases, costs and the plain CPU variant of the scaling of all gradients.
#include "kernels/clip_grad/clip_grad.h"

#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

void run(const ScaleTensors::Args& a, Stream&) {
  dispatch<double, float>(a.norm.dtype, [&]<class T>() {
    const T factor = clip_grad::factor(*a.norm.as<T>(), a.max_norm);
    for (const TensorView& grad : a.grads)
      for (int64_t i = 0; i < grad.size(); ++i) grad.as<T>()[i] *= factor;
  });
}

const Register<ScaleTensors> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run}};

template <int norm>
void put_norm(ScaleTensors::Args& a) {
  *a.norm.as<float>() = norm;
}

}  // namespace

NamedViews ScaleTensors::inputs(Args& a) {
  NamedViews views = outputs(a);
  views.push_back({"norm", &a.norm});
  return views;
}

NamedViews ScaleTensors::outputs(Args& a) {
  NamedViews views;
  for (TensorView& view : a.grads) views.push_back({"grad", &view});
  return views;
}

std::vector<Case<ScaleTensors::Args>> ScaleTensors::cases(DType dtype) {
  const TensorView norm(nullptr, dtype, {1});
  const std::vector<TensorView> several = {
      {nullptr, dtype, {1}}, {nullptr, dtype, {0, 4}}, {nullptr, dtype, {33}}, {nullptr, dtype, {3, 20011}}};
  std::vector<Case<Args>> cases;
  cases.push_back({"nothing to train", {{}, norm, 1}, false, put_norm<0>});
  cases.push_back({"within the norm", {several, norm, 2}, false, put_norm<1>});
  cases.push_back({"beyond the norm", {several, norm, 2}, false, put_norm<7>});
  cases.push_back({"norm 0", {several, norm, 2}, false, put_norm<0>});
  cases.push_back({"five hundred tensors",
                   {std::vector<TensorView>(500, {nullptr, dtype, {3}}), norm, 2},
                   false,
                   put_norm<7>});
  cases.push_back({"a BiGRU and its head", {{{nullptr, dtype, {2759169}}}, norm, 2}, true, put_norm<7>});
  return cases;
}

const RegisterShapes<ScaleTensors> shapes_of_scale_tensors{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<ScaleTensors::Args> {
      return {"", {{{nullptr, dtype, {e[0]}}}, {nullptr, dtype, {1}}, 2}, false, put_norm<7>};
    }};

Cost ScaleTensors::cost(const Args& a) {
  double elements = 0;
  for (const TensorView& grad : a.grads) elements += static_cast<double>(grad.size());
  return {elements, 2 * elements * static_cast<double>(size_of(dtype(a)))};
}

}  // namespace tenon
