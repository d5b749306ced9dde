// Cases, costs and the plain CPU variant of casts, for all pairs of types.
#include "kernels/cast/cast.h"

#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

// An f64 that goes through f32 on its way to 16 bits would be rounded twice. Rounding to odd in between
// keeps what the second rounding needs.
float rounded_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (double{nearest} == x || nearest != nearest) return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  const bool away = (double{nearest} > x) == (x > 0);
  return std::bit_cast<float>((away ? bits - 1 : bits) | 1u);
}

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, From>)
    return x;
  else if constexpr (std::is_same_v<From, double>)
    return std::is_same_v<To, float> ? To(static_cast<float>(x)) : To(rounded_to_odd(x));
  else
    return To(float(x));
}

void run(const Cast::Args& a, Stream&) {
  dispatch<double, float, bf16, f16>(a.x.dtype, [&]<class From>() {
    dispatch<double, float, bf16, f16>(a.y.dtype, [&]<class To>() {
      for (int64_t i = 0; i < a.x.size(); ++i) a.y.as<To>()[i] = convert<To>(a.x.as<From>()[i]);
    });
  });
}

const Register<Cast> plain{{.name = "plain",
                            .device = Device::cpu,
                            .dtypes = {DType::f64, DType::f32, DType::bf16, DType::f16},
                            .run = run}};

}  // namespace

std::vector<Case<Cast::Args>> Cast::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (DType target : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    const auto add = [&](int64_t rows, int64_t columns, const std::string& name, auto fill) {
      cases.push_back({str(name, " to ", target),
                       {{nullptr, dtype, {rows, columns}}, {nullptr, target, {rows, columns}}},
                       rows * columns > 1'000'000,
                       fill});
    };
    add(1, 1, "one", nullptr);
    add(0, 3, "none", nullptr);
    add(3, 1023, "3x1023", nullptr);
    add(7, 33, "small", [](Args& a) { cases::affine(a.x, 1e-6, 0); });  // f16's subnormals
    add(1, 10, "ties and edges", [](Args& a) {
      cases::put(a.x, {0, -0.0, 1 + 0x1p-8, 1 + 0x1p-9, 1 + 3 * 0x1p-9, 1 + 0x1p-11, 1 + 3 * 0x1p-11, 65504,
                       0x1p-24, -0x1p-25});
    });
    add(4096, 3072, "4096x3072", nullptr);
  }
  return cases;
}

const RegisterShapes<Cast> shapes_of_cast{
    "ROWSxCOLUMNS", [](DType dtype, const Extents& e) -> Case<Cast::Args> {
      const DType target = dtype == DType::f32 ? DType::bf16 : DType::f32;
      return {"", {{nullptr, dtype, {e[0], e[1]}}, {nullptr, target, {e[0], e[1]}}}};
    }};

Cost Cast::cost(const Args& a) { return {0, static_cast<double>(a.x.bytes() + a.y.bytes())}; }

}  // namespace tenon
