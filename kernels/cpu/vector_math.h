// exp, tanh, the two GELUs and their derivatives for any vector type V (vector_avx512.h, vector_avx2.h,
// vector_portable.h), each within a few units in the last place of fp32. Everything is in an anonymous
// namespace on purpose: a function compiled for one instruction set may not be linked into another's place.
#pragma once
#include <cstddef>

namespace tenon {
namespace {

template <class V, size_t Count>
typename V::Register polynomial(typename V::Register x, const float (&c)[Count]) {  // c[0] + c[1] x + ...
  auto y = V::broadcast(c[Count - 1]);
#pragma GCC unroll 16
  for (size_t i = 1; i < Count; ++i) y = V::fma(y, x, V::broadcast(c[Count - 1 - i]));
  return y;
}

// e^x for x in [-87.3, 88].
template <class V>
typename V::Register exp_in_range(typename V::Register x) {
  static constexpr float taylor[] = {1.0f, 1.0f, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720};
  const auto n = V::round(x * V::broadcast(1.44269504f));
  auto r = V::fma(n, V::broadcast(-0.693359375f), x);  // ln 2 in two parts: n times the first one is exact
  r = V::fma(n, V::broadcast(2.12194440e-4f), r);
  return V::scale(polynomial<V>(r, taylor), n);
}

// e^x for x <= 88, 0 below -87.3: a subnormal result would cost some processors 150 cycles. NaN stays.
template <class V>
typename V::Register exp(typename V::Register x) {
  const auto least = V::broadcast(-87.3f);
  return V::select_less(x, least, V::zero(), exp_in_range<V>(V::max(least, x)));
}

template <class V>
typename V::Register tanh(typename V::Register x) {
  static constexpr float odd[] = {-0.333332819f, 0.133314422f, -0.0537397134f, 0.0206390810f,
                                  -0.00570497942f};
  const auto one = V::broadcast(1.0f), magnitude = V::abs(x);
  const auto square = x * x;
  const auto small = V::fma(magnitude * square, polynomial<V>(square, odd), magnitude);
  const auto power = exp_in_range<V>(V::min(V::broadcast(20.0f), magnitude + magnitude));
  const auto large = one - V::broadcast(2.0f) / (power + one);
  return V::copy_sign(V::select_less(magnitude, V::broadcast(0.625f), small, large), x);
}

// The normal distribution at -|x|: Phi(-|x|) = exp(-x^2 / 2) * t * P(t) with t = 1 / (1 + 0.24 |x|), P fitted
// to 3e-9; so the negative tail, where 1 + erf would cancel, keeps its relative accuracy.
template <class V>
struct NormalTail {
  static constexpr float least = 13.0f;  // from here on |x| Phi(-|x|) is below 1e-37 and taken for 0
  typename V::Register magnitude;        // |x|, at most that
  typename V::Register density;          // exp(-x^2 / 2)
  typename V::Register t, fit;

  explicit NormalTail(typename V::Register x) {
    static constexpr float tail[] = {0.0957424384f, 0.0958507804f, 0.0889835947f, 0.0875518769f,
                                     0.0287139998f, 0.140488335f,  -0.143193767f, 0.204724108f,
                                     -0.124334743f, 0.0254733777f};
    magnitude = V::min(V::broadcast(least), V::abs(x));
    const auto square = magnitude * magnitude;
    const auto rest = V::fma(magnitude, magnitude, -square);  // what the rounding of the square lost
    const auto half = V::broadcast(-0.5f);
    density = exp_in_range<V>(square * half);
    density = V::fma(density, rest * half, density);
    t = V::reciprocal(V::fma(V::broadcast(0.24f), magnitude, V::broadcast(1.0f)));
    fit = polynomial<V>(t, tail);
  }
  typename V::Register unless_beyond(typename V::Register value) const {
    return V::select_less(magnitude, V::broadcast(least), value, V::zero());
  }
};

// x * Phi(x).
template <class V>
typename V::Register gelu(typename V::Register x) {
  const NormalTail<V> tail(x);
  return V::max(V::zero(), x) - tail.unless_beyond(tail.magnitude * tail.density * tail.t * tail.fit);
}

// Phi(x) + x * phi(x).
template <class V>
typename V::Register gelu_derivative(typename V::Register x) {
  const NormalTail<V> tail(x);
  const auto mass = tail.unless_beyond(tail.density * tail.t * tail.fit);
  const auto slope = V::copy_sign(tail.magnitude * tail.density * V::broadcast(0.398942280f), x);
  return V::select_less(x, V::zero(), mass, V::broadcast(1.0f) - mass) + slope;
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), as x times a logistic function.
template <class V>
typename V::Register gelu_tanh(typename V::Register x) {
  const auto clamped = V::max(V::broadcast(-11.0f), V::min(V::broadcast(11.0f), x));
  const auto inner =
      clamped * V::fma(clamped * clamped, V::broadcast(-0.0713548162726f), V::broadcast(-1.59576912161f));
  return V::max(V::broadcast(-11.0f), x) / (V::broadcast(1.0f) + exp<V>(V::min(V::broadcast(88.0f), inner)));
}

template <class V>
typename V::Register gelu_tanh_derivative(typename V::Register x) {
  const auto one = V::broadcast(1.0f), half = V::broadcast(0.5f);
  const auto b = V::max(V::broadcast(-11.0f), V::min(V::broadcast(11.0f), x)), square = b * b;
  const auto linear = V::broadcast(0.797884561f), cubic = V::broadcast(0.0356774081f);
  const auto t = tanh<V>(b * V::fma(square, cubic, linear));
  const auto slope = V::fma(square, V::broadcast(3.0f) * cubic, linear);
  return half * (one + t) + half * b * (one - t * t) * slope;
}

}  // namespace
}  // namespace tenon
