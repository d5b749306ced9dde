// The two forms and their derivatives, for any floating type and any source of erf, tanh and exp. Beyond 20
// the tanh is exactly 1, so the argument stops there and cannot overflow.
#pragma once

namespace tenon::gelu {

template <class T>
constexpr T bounded(T x) {
  return x > T(20) ? T(20) : (x < T(-20) ? T(-20) : x);
}

// Math offers erf, tanh and exp for T; `Math::erf(T)`.
template <class Math, class T>
constexpr T value(T x, bool tanh_form) {
  if (tanh_form) {
    const T b = bounded(x);
    const T inner = T(0.7978845608028654) * (b + T(0.044715) * b * b * b);
    return T(0.5) * x * (T(1) + Math::tanh(inner));
  }
  return T(0.5) * x * (T(1) + Math::erf(x * T(0.7071067811865476)));
}

template <class Math, class T>
constexpr T derivative(T x, bool tanh_form) {
  if (tanh_form) {
    const T b = bounded(x);
    const T inner = T(0.7978845608028654) * (b + T(0.044715) * b * b * b);
    const T slope = T(0.7978845608028654) * (T(1) + T(3 * 0.044715) * b * b);
    const T t = Math::tanh(inner);
    return T(0.5) * (T(1) + t) + T(0.5) * b * (T(1) - t * t) * slope;
  }
  const T b = bounded(x);  // the density is zero there
  const T density = T(0.3989422804014327) * Math::exp(T(-0.5) * b * b);
  return T(0.5) * (T(1) + Math::erf(x * T(0.7071067811865476))) + b * density;
}

}  // namespace tenon::gelu
