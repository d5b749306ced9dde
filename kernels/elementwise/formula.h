// The functions and their derivatives, for any floating type and any source of exp, tanh, erf and log1p.
#pragma once
#include "kernels/elementwise/unary.h"
#include "kernels/gelu/formula.h"

namespace tenon::unary {

template <class T>
constexpr T clamp(T x, T low, T high) {
  return x < low ? low : (x > high ? high : x);  // NaN stays NaN
}

template <class T>
inline constexpr T laplace_mean = T(0.707107);
template <class T>
inline constexpr T laplace_factor = T(1 / (0.282095 * 1.4142135623730951));

// exp(x) - 1 without cancellation.
template <class Math, class T>
constexpr T expm1(T x) {
  return Math::tanh(T(0.5) * x) * (Math::exp(x) + T(1));
}

// tanh(softplus(x)) = (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x); 1 in every precision from 20 on.
template <class Math, class T>
constexpr T tanh_softplus(T x) {
  const T e = Math::exp(x > T(20) ? T(20) : x), n = e * (e + T(2));
  return x > T(20) ? T(1) : n / (n + T(2));
}

template <class Math, class T>
constexpr T softplus(T x) {
  const T a = x < T(0) ? -x : x;
  return (x > T(0) ? x : T(0)) + Math::log1p(Math::exp(-a));
}

template <UnaryKind kind, class Math, class T>
constexpr T value(T x) {
  using enum UnaryKind;
  if constexpr (kind == identity) return x;
  if constexpr (kind == relu) return x < T(0) ? T(0) : x;
  if constexpr (kind == relu6) return clamp(x, T(0), T(6));
  if constexpr (kind == relu_squared) return x < T(0) ? T(0) : x * x;
  if constexpr (kind == leaky_relu) return x < T(0) ? T(0.01) * x : x;
  if constexpr (kind == elu) return x > T(0) ? x : expm1<Math>(x > T(0) ? T(0) : x);
  if constexpr (kind == tanh) return Math::tanh(x);
  if constexpr (kind == sigmoid) return Math::sigmoid(x);
  if constexpr (kind == silu) return x * Math::sigmoid(x);
  if constexpr (kind == quick_gelu) return x * Math::sigmoid(T(1.702) * x);
  if constexpr (kind == clipped_gelu) return clamp(gelu::value<Math>(x, false), T(-10), T(10));
  if constexpr (kind == mish) return x * tanh_softplus<Math>(x);
  if constexpr (kind == hardswish) return x * clamp(x + T(3), T(0), T(6)) / T(6);
  if constexpr (kind == laplace) return T(0.5) * (T(1) + Math::erf((x - laplace_mean<T>)*laplace_factor<T>));
  if constexpr (kind == sqrt_softplus) return Math::sqrt(softplus<Math>(x));
  if constexpr (kind == square) return x * x;
}

template <UnaryKind kind, class Math, class T>
constexpr T derivative(T x) {
  using enum UnaryKind;
  if constexpr (kind == identity) return T(1);
  if constexpr (kind == relu) return x > T(0) ? T(1) : T(0);
  if constexpr (kind == relu6) return x > T(0) && x < T(6) ? T(1) : T(0);
  if constexpr (kind == relu_squared) return x > T(0) ? T(2) * x : T(0);
  if constexpr (kind == leaky_relu) return x > T(0) ? T(1) : T(0.01);
  if constexpr (kind == elu) return x > T(0) ? T(1) : Math::exp(x > T(0) ? T(0) : x);
  if constexpr (kind == tanh) {
    const T y = Math::tanh(x);
    return T(1) - y * y;
  }
  if constexpr (kind == sigmoid) {
    const T y = Math::sigmoid(x);
    return y * (T(1) - y);
  }
  if constexpr (kind == silu) {
    const T y = Math::sigmoid(x);
    return y * (T(1) + x * (T(1) - y));
  }
  if constexpr (kind == quick_gelu) {
    const T y = Math::sigmoid(T(1.702) * x);
    return y * (T(1) + T(1.702) * x * (T(1) - y));
  }
  if constexpr (kind == clipped_gelu)
    return x > T(-10) && x < T(10) ? gelu::derivative<Math>(x, false) : T(0);
  if constexpr (kind == mish) {
    const T t = tanh_softplus<Math>(x);
    return t + x * (T(1) - t * t) * Math::sigmoid(x);
  }
  if constexpr (kind == hardswish) return x < T(-3) ? T(0) : (x > T(3) ? T(1) : x / T(3) + T(0.5));
  if constexpr (kind == laplace) {
    const T z = gelu::bounded((x - laplace_mean<T>)*laplace_factor<T>);
    return T(0.5641895835477563) * laplace_factor<T> * Math::exp(-z * z);
  }
  if constexpr (kind == sqrt_softplus)  // far below 0 softplus is exp, and both parts of the quotient vanish
    return x < T(-36) ? T(0.5) * Math::exp(T(0.5) * x)
                      : T(0.5) * Math::sigmoid(x) / Math::sqrt(softplus<Math>(x));
  if constexpr (kind == square) return T(2) * x;
}

// Calls body.template operator()<kind>().
template <class Body, int... kinds>
void dispatch_kind(UnaryKind kind, const Body& body, std::integer_sequence<int, kinds...>) {
  ((kind == static_cast<UnaryKind>(kinds) ? body.template operator()<static_cast<UnaryKind>(kinds)>()
                                          : void()),
   ...);
}
template <class Body>
void dispatch_kind(UnaryKind kind, const Body& body) {
  dispatch_kind(kind, body, std::make_integer_sequence<int, unary_kinds>());
}

}  // namespace tenon::unary
