// Functions of one number, products and linear combinations, 16 bytes a thread: kernels/elementwise/map.h.
// Each function of one number is a kernel of its own, so that nothing is looked up for each element. Bound by
// memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/elementwise/arithmetic.h"
#include "kernels/elementwise/device_math.h"
#include "kernels/elementwise/formula.h"
#include "kernels/elementwise/map.h"

namespace tenon {
namespace {

template <UnaryKind kind>
struct Value {
  __device__ float operator()(float x) const { return unary::value<kind, DeviceMath>(x); }
};

template <UnaryKind kind>
struct Gradient {
  __device__ float operator()(float dy, float x) const { return dy * unary::derivative<kind, DeviceMath>(x); }
};

struct Product {
  __device__ float operator()(float a, float b) const { return a * b; }
};

struct Scaled {
  float alpha;

  __device__ float operator()(float a) const { return alpha * a; }
};

struct Combined {
  float alpha, beta;

  __device__ float operator()(float a, float b) const { return alpha * a + beta * b; }
};

void run_unary(const Unary::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
      map_elements(stream, a.x.size(), Value<kind>(), a.y.as<T>(), a.x.as<T>());
    });
  });
}

void run_unary_backward(const UnaryBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
      map_elements(stream, a.x.size(), Gradient<kind>(), a.dx.as<T>(), a.dy.as<T>(), a.x.as<T>());
    });
  });
}

void run_mul(const Mul::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    map_elements(stream, a.y.size(), Product(), a.y.as<T>(), a.a.as<T>(), a.b.as<T>());
  });
}

void run_axpby(const Axpby::Args& a, Stream& stream) {
  const auto alpha = static_cast<float>(a.alpha), beta = static_cast<float>(a.beta);
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    if (a.b.defined())
      map_elements(stream, a.y.size(), Combined{alpha, beta}, a.y.as<T>(), a.a.as<T>(), a.b.as<T>());
    else
      map_elements(stream, a.y.size(), Scaled{alpha}, a.y.as<T>(), a.a.as<T>());
  });
}

template <class Op>
Variant<Op> vectors(void (*run)(const typename Op::Args&, Stream&)) {
  return {.name = "vectors",
          .device = kernel_device,
          .priority = 10,
          .dtypes = {DType::f32, DType::bf16},
          .run = run};
}

const Register<Unary> registered_unary{vectors<Unary>(run_unary)};
const Register<UnaryBackward> registered_unary_backward{vectors<UnaryBackward>(run_unary_backward)};
const Register<Mul> registered_mul{vectors<Mul>(run_mul)};
const Register<Axpby> registered_axpby{vectors<Axpby>(run_axpby)};

}  // namespace
}  // namespace tenon
