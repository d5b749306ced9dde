// One element of Adam, with the scalars of a step computed once, in double. Powers and corrections in fp32
// would be wrong in the fourth digit for beta2 = 0.999.
#pragma once
#include <cmath>

#include "kernels/adam/adam.h"

namespace tenon::adam {

template <class T>
struct Scalars {
  T keep;          // what decoupled weight decay leaves of a parameter
  T weight_decay;  // added to the gradient
  T rest1, beta2, rest2, sqrt_correction2, eps, step_size;

  explicit Scalars(const Adam::Args& a)
      : keep(T(a.decoupled ? 1 - a.lr * a.weight_decay : 1)),
        weight_decay(T(a.decoupled ? 0 : a.weight_decay)),
        rest1(T(1 - a.beta1)),
        beta2(T(a.beta2)),
        rest2(T(1 - a.beta2)),
        sqrt_correction2(T(std::sqrt(1 - std::pow(a.beta2, static_cast<double>(a.step))))),
        eps(T(a.eps)),
        step_size(T(a.lr / (1 - std::pow(a.beta1, static_cast<double>(a.step))))) {}
};

template <class T>
constexpr void update(const Scalars<T>& s, T gradient, T& parameter, T& exp_avg, T& exp_avg_sq) {
  T p = parameter * s.keep;
  const T g = gradient + s.weight_decay * p;
  const T difference = g - exp_avg;
  exp_avg = s.rest1 < T(0.5) ? exp_avg + s.rest1 * difference : g - difference * (T(1) - s.rest1);
  exp_avg_sq = exp_avg_sq * s.beta2 + s.rest2 * g * g;
  parameter = p - s.step_size * exp_avg / (std::sqrt(exp_avg_sq) / s.sqrt_correction2 + s.eps);
}

}  // namespace tenon::adam
