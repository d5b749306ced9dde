// Names, cases, costs and the plain CPU variant of functions of one number: in f64 the reference, in f32 the
// yardstick.
#include "kernels/elementwise/unary.h"

#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/elementwise/formula.h"

namespace tenon {
namespace {

struct StandardMath {
  template <class T>
  static T exp(T x) {
    return std::exp(x);
  }
  template <class T>
  static T tanh(T x) {
    return std::tanh(x);
  }
  template <class T>
  static T erf(T x) {
    return std::erf(x);
  }
  template <class T>
  static T log1p(T x) {
    return std::log1p(x);
  }
  template <class T>
  static T sqrt(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
  }
};

void run(const Unary::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
      for (int64_t i = 0; i < a.x.size(); ++i)
        a.y.as<T>()[i] = T(unary::value<kind, StandardMath>(accumulator<T>(a.x.as<T>()[i])));
    });
  });
}

void run_backward(const UnaryBackward::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    using Sum = accumulator<T>;
    unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
      for (int64_t i = 0; i < a.x.size(); ++i) {
        const Sum slope = unary::derivative<kind, StandardMath>(Sum(a.x.as<T>()[i]));
        a.dx.as<T>()[i] = T(Sum(a.dy.as<T>()[i]) * slope);
      }
    });
  });
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<Unary> plain{{.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run}};
const Register<UnaryBackward> plain_backward{
    {.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run_backward}};

constexpr std::string_view kind_names[] = {"identity",   "relu",       "relu6",         "relu_squared",
                                           "leaky_relu", "elu",        "tanh",          "sigmoid",
                                           "silu",       "quick_gelu", "clipped_gelu",  "mish",
                                           "hardswish",  "laplace",    "sqrt_softplus", "square"};
static_assert(std::size(kind_names) == unary_kinds);

struct HfName {
  std::string_view name;
  UnaryKind kind;
};
constexpr HfName hf_names[] = {{"linear", UnaryKind::identity},
                               {"relu", UnaryKind::relu},
                               {"relu6", UnaryKind::relu6},
                               {"relu2", UnaryKind::relu_squared},
                               {"leaky_relu", UnaryKind::leaky_relu},
                               {"elu", UnaryKind::elu},
                               {"tanh", UnaryKind::tanh},
                               {"sigmoid", UnaryKind::sigmoid},
                               {"silu", UnaryKind::silu},
                               {"swish", UnaryKind::silu},
                               {"quick_gelu", UnaryKind::quick_gelu},
                               {"gelu_10", UnaryKind::clipped_gelu},
                               {"mish", UnaryKind::mish},
                               {"hardswish", UnaryKind::hardswish},
                               {"laplace", UnaryKind::laplace},
                               {"sqrtsoftplus", UnaryKind::sqrt_softplus}};

// Every bend, tails, and values whose exp or square overflows.
void put_edges(const TensorView& x) {
  cases::put(x, {0, -0.0, 1e-30, -1e-30, 3e-4, -3e-4, 0.7, -0.7, 3,    -3,
                 6, -6,   10,    -10,    25,   -25,   1e4, -1e4, 1e18, -1e18});
}

template <class Args, class Make>
std::vector<Case<Args>> make_cases(const Make& make) {
  std::vector<Case<Args>> cases;
  for (int i = 0; i < unary_kinds; ++i) {
    const auto kind = static_cast<UnaryKind>(i);
    const std::string name(kind_names[i]);
    for (auto [rows, columns] : {std::pair<int64_t, int64_t>{0, 4}, {1, 33}, {3, 1023}})
      cases.push_back({str(name, " ", rows, "x", columns), make(rows, columns, kind), false, nullptr});
    cases.push_back({name + " edges", make(20, 2, kind), false, [](Args& a) {
                       put_edges({a.x.data, a.x.dtype, {40}});
                     }});
  }
  cases.push_back({"relu 4096x3072", make(4096, 3072, UnaryKind::relu), true, nullptr});
  cases.push_back({"silu 4096x3072", make(4096, 3072, UnaryKind::silu), true, nullptr});
  return cases;
}

}  // namespace

std::string_view to_string_view(UnaryKind kind) { return kind_names[static_cast<int>(kind)]; }

UnaryKind unary_kind(std::string_view hf_name) {
  std::string known;
  for (const auto& [name, kind] : hf_names) {
    if (name == hf_name) return kind;
    known += str(known.empty() ? "" : ", ", name);
  }
  fail("there is no activation '", hf_name, "'; besides the forms of GELU there are ", known);
}

std::vector<Case<Unary::Args>> Unary::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t columns, UnaryKind kind) -> Args {
    const TensorView x(nullptr, dtype, {rows, columns});
    return {x, x, kind};
  });
}

std::vector<Case<UnaryBackward::Args>> UnaryBackward::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t columns, UnaryKind kind) -> Args {
    const TensorView x(nullptr, dtype, {rows, columns});
    return {x, x, x, kind};
  });
}

const RegisterShapes<Unary> shapes_of_unary{"ROWSxCOLUMNS",
                                            [](DType dtype, const Extents& e) -> Case<Unary::Args> {
                                              const TensorView x(nullptr, dtype, {e[0], e[1]});
                                              return {"", {x, x, UnaryKind::silu}};
                                            }};

const RegisterShapes<UnaryBackward> shapes_of_unary_backward{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<UnaryBackward::Args> {
      const TensorView x(nullptr, dtype, {e[0], e[1]});
      return {"", {x, x, x, UnaryKind::silu}};
    }};

Cost Unary::cost(const Args& a) {
  return {10 * static_cast<double>(a.x.size()), static_cast<double>(2 * a.x.bytes())};
}

Cost UnaryBackward::cost(const Args& a) {
  return {15 * static_cast<double>(a.x.size()), static_cast<double>(3 * a.x.bytes())};
}

}  // namespace tenon
