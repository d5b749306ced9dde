// Cases, costs and the plain CPU variant of Adam: in f64 the reference, in f32 the yardstick.
#include "kernels/adam/adam.h"

#include "kernels/adam/formula.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

void run(const Adam::Args& a, Stream&) {
  dispatch<double, float>(Adam::dtype(a), [&]<class T>() {
    const adam::Scalars<T> scalars(a);
    for (size_t k = 0; k < a.params.size(); ++k)
      for (int64_t i = 0; i < a.params[k].size(); ++i)
        adam::update(scalars, a.grads[k].as<T>()[i], a.params[k].as<T>()[i], a.exp_avg[k].as<T>()[i],
                     a.exp_avg_sq[k].as<T>()[i]);
  });
}

const Register<Adam> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run}};

Adam::Args make(const std::vector<TensorView>& tensors) {
  return {.params = tensors, .grads = tensors, .exp_avg = tensors, .exp_avg_sq = tensors};
}

void put_squares(Adam::Args& a) {
  for (const TensorView& view : a.exp_avg_sq)
    for (int64_t i = 0; i < view.size(); ++i) view.as<float>()[i] *= view.as<float>()[i];
}

void put_first_step(Adam::Args& a) {
  for (auto* views : {&a.exp_avg, &a.exp_avg_sq})
    for (const TensorView& view : *views) std::fill_n(view.as<float>(), view.size(), 0.0f);
}

}  // namespace

NamedViews Adam::inputs(Args& a) {
  NamedViews views = outputs(a);
  for (TensorView& view : a.grads) views.push_back({"grad", &view});
  return views;
}

NamedViews Adam::outputs(Args& a) {
  NamedViews views;
  for (TensorView& view : a.params) views.push_back({"param", &view});
  for (TensorView& view : a.exp_avg) views.push_back({"exp_avg", &view});
  for (TensorView& view : a.exp_avg_sq) views.push_back({"exp_avg_sq", &view});
  return views;
}

std::vector<Case<Adam::Args>> Adam::cases(DType dtype) {
  const std::vector<TensorView> several = {{nullptr, dtype, {1}},
                                           {nullptr, dtype, {5, 7}},
                                           {nullptr, dtype, {0, 4}},
                                           {nullptr, dtype, {33}},
                                           {nullptr, dtype, {3, 20011}}};
  std::vector<Case<Args>> cases;
  const auto add = [&](std::string name, Args args, bool large, void (*fill)(Args&)) {
    cases.push_back({std::move(name), std::move(args), large, fill});
  };
  add("nothing to train", make({}), false, nullptr);
  add("first step", make(several), false, put_first_step);
  Args args = make(several);
  args.step = 1000;
  add("step 1000", args, false, put_squares);
  args.weight_decay = 0.1;
  add("weight decay", args, false, put_squares);
  args.decoupled = true;
  args.beta1 = 0.3, args.beta2 = 0.95, args.eps = 1e-4;
  add("decoupled, other betas", args, false, put_squares);
  add("two hundred tensors", make(std::vector<TensorView>(200, {nullptr, dtype, {3}})), false, put_squares);
  add("a BiGRU and its head", make({{nullptr, dtype, {2759169}}}), true, put_squares);
  return cases;
}

const RegisterShapes<Adam> shapes_of_adam{"ELEMENTS", [](DType dtype, const Extents& e) -> Case<Adam::Args> {
                                            return {"", make({{nullptr, dtype, {e[0]}}}), false, put_squares};
                                          }};

Cost Adam::cost(const Args& a) {
  double elements = 0;
  for (const TensorView& view : a.params) elements += static_cast<double>(view.size());
  return {16 * elements, 7 * elements * static_cast<double>(size_of(dtype(a)))};
}

}  // namespace tenon
