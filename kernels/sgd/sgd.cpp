// Cases, costs and the plain CPU variant of SGD: in f64 the reference, in f32 the yardstick.
#include "kernels/sgd/sgd.h"

#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/sgd/formula.h"

namespace tenon {
namespace {

void run(const Sgd::Args& a, Stream&) {
  sgd::check_buffers(a);
  dispatch<double, float>(Sgd::dtype(a), [&]<class T>() {
    const sgd::Scalars<T> scalars(a);
    for (size_t k = 0; k < a.params.size(); ++k)
      for (int64_t i = 0; i < a.params[k].size(); ++i) {
        const T gradient = a.grads[k].as<T>()[i];
        T& parameter = a.params[k].as<T>()[i];
        if (a.momentum == 0)
          sgd::update(scalars, gradient, parameter);
        else
          sgd::update(scalars, gradient, parameter, a.momentum_buffers[k].as<T>()[i]);
      }
  });
}

const Register<Sgd> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run}};

}  // namespace

NamedViews Sgd::inputs(Args& a) {
  NamedViews views = outputs(a);
  for (TensorView& view : a.grads) views.push_back({"grad", &view});
  return views;
}

NamedViews Sgd::outputs(Args& a) {
  NamedViews views;
  for (TensorView& view : a.params) views.push_back({"param", &view});
  for (TensorView& view : a.momentum_buffers) views.push_back({"momentum_buffer", &view});
  return views;
}

std::vector<Case<Sgd::Args>> Sgd::cases(DType dtype) {
  const std::vector<TensorView> several = {{nullptr, dtype, {1}},
                                           {nullptr, dtype, {5, 7}},
                                           {nullptr, dtype, {0, 4}},
                                           {nullptr, dtype, {33}},
                                           {nullptr, dtype, {3, 20011}}};
  const std::vector<TensorView> model = {{nullptr, dtype, {2759169}}};
  Args args{.params = several, .grads = several};
  std::vector<Case<Args>> cases;
  cases.push_back({"nothing to train", {}});
  cases.push_back({"without momentum", args});
  args.weight_decay = 0.1;
  cases.push_back({"weight decay", args});
  args.momentum_buffers = several;
  args.momentum = 0.9, args.dampening = 0.25;
  cases.push_back({"momentum and dampening", args});
  args.first_step = true;
  cases.push_back({"first step", args});
  args.first_step = false, args.dampening = 0, args.nesterov = true;
  cases.push_back({"nesterov", args});
  const std::vector<TensorView> many(200, {nullptr, dtype, {3}});
  cases.push_back(
      {"two hundred tensors", {.params = many, .grads = many, .momentum_buffers = many, .momentum = 0.9}});
  cases.push_back({"a BiGRU and its head",
                   {.params = model, .grads = model, .momentum_buffers = model, .momentum = 0.9},
                   true});
  return cases;
}

const RegisterShapes<Sgd> shapes_of_sgd{
    "ELEMENTS", [](DType dtype, const Extents& e) -> Case<Sgd::Args> {
      const std::vector<TensorView> model = {{nullptr, dtype, {e[0]}}};
      return {"", {.params = model, .grads = model, .momentum_buffers = model, .momentum = 0.9}};
    }};

Cost Sgd::cost(const Args& a) {
  double elements = 0;
  for (const TensorView& view : a.params) elements += static_cast<double>(view.size());
  const double passes = a.momentum == 0 ? 3 : 5;
  return {(passes + 1) * elements, passes * elements * static_cast<double>(size_of(dtype(a)))};
}

}  // namespace tenon
