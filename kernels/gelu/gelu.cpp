// Cases, costs and the plain CPU variant of GELU: in f64 the reference, in f32 the yardstick.
#include "kernels/gelu/gelu.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/standard_math.h"

namespace tenon {
namespace {

void run(const Gelu::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    using Sum = accumulator<T>;
    for (int64_t i = 0; i < a.x.size(); ++i)
      a.y.as<T>()[i] = T(gelu::value<gelu::StandardMath>(Sum(a.x.as<T>()[i]), a.tanh_form));
  });
}

void run_backward(const GeluBackward::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    using Sum = accumulator<T>;
    for (int64_t i = 0; i < a.x.size(); ++i) {
      const Sum slope = gelu::derivative<gelu::StandardMath>(Sum(a.x.as<T>()[i]), a.tanh_form);
      a.dx.as<T>()[i] = T(Sum(a.dy.as<T>()[i]) * slope);
    }
  });
}

const Register<Gelu> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32, DType::bf16}, .run = run}};
const Register<GeluBackward> plain_backward{{.name = "plain",
                                             .device = Device::cpu,
                                             .dtypes = {DType::f64, DType::f32, DType::bf16},
                                             .run = run_backward}};

// Values where the form bends, tails, and those that overflow a careless square or cube.
void put_edges(const TensorView& x) {
  constexpr float edges[] = {0,     -0.0f, 1e-30f, -1e-30f, 0.5f,  -0.75f, 3.9f,  -3.9f,
                             -5.5f, 6,     -13,    1e4f,    -1e4f, 1e20f,  -1e20f};
  dispatch<float, bf16>(x.dtype, [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) x.as<T>()[i] = T(edges[i % std::size(edges)]);
  });
}

template <class Args, class Make>
std::vector<Case<Args>> make_cases(const Make& make) {
  std::vector<Case<Args>> cases;
  for (bool tanh_form : {false, true}) {
    const std::string form = tanh_form ? "tanh " : "erf ";
    for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {0, 4}, {1, 33}, {3, 1023}, {64, 768}})
      cases.push_back({str(form, rows, "x", columns), make(rows, columns, tanh_form), false, nullptr});
    cases.push_back({form + "edges", make(2, 45, tanh_form), false, [](Args& a) { put_edges(a.x); }});
    cases.push_back({form + "4096x3072", make(4096, 3072, tanh_form), true, nullptr});
  }
  return cases;
}

}  // namespace

std::vector<Case<Gelu::Args>> Gelu::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t columns, bool tanh_form) -> Args {
    const TensorView shape(nullptr, dtype, {rows, columns});
    return {shape, shape, tanh_form};
  });
}

std::vector<Case<GeluBackward::Args>> GeluBackward::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t columns, bool tanh_form) -> Args {
    const TensorView shape(nullptr, dtype, {rows, columns});
    return {shape, shape, shape, tanh_form};
  });
}

const RegisterShapes<Gelu> shapes_of_gelu{"ROWSxCOLUMNS",
                                          [](DType dtype, const Extents& e) -> Case<Gelu::Args> {
                                            const TensorView x(nullptr, dtype, {e[0], e[1]});
                                            return {"", {x, x}};
                                          }};

const RegisterShapes<GeluBackward> shapes_of_gelu_backward{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<GeluBackward::Args> {
      const TensorView x(nullptr, dtype, {e[0], e[1]});
      return {"", {x, x, x}};
    }};

Cost Gelu::cost(const Args& a) {
  return {20 * static_cast<double>(a.x.size()), static_cast<double>(2 * a.x.bytes())};
}

Cost GeluBackward::cost(const Args& a) {
  return {30 * static_cast<double>(a.x.size()), static_cast<double>(3 * a.x.bytes())};
}

}  // namespace tenon
