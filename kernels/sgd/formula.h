// One element of stochastic gradient descent, with the scalars in the element's type.
#pragma once
#include "kernels/sgd/sgd.h"

namespace tenon::sgd {

inline void check_buffers(const Sgd::Args& a) {
  check(a.momentum == 0 || a.momentum_buffers.size() == a.params.size(),
        "sgd with momentum needs a momentum buffer for each of its ", a.params.size(), " parameters");
}

template <class T>
struct Scalars {
  T lr, momentum, weight_decay, rest;  // rest: 1 - dampening
  bool nesterov, first_step;

  explicit Scalars(const Sgd::Args& a)
      : lr(T(a.lr)),
        momentum(T(a.momentum)),
        weight_decay(T(a.weight_decay)),
        rest(T(1 - a.dampening)),
        nesterov(a.nesterov),
        first_step(a.first_step) {}
};

template <class T>
constexpr void update(const Scalars<T>& s, T gradient, T& parameter) {
  parameter -= s.lr * (gradient + s.weight_decay * parameter);
}

template <class T>
constexpr void update(const Scalars<T>& s, T gradient, T& parameter, T& buffer) {
  const T g = gradient + s.weight_decay * parameter;
  const T b = s.first_step ? g : s.momentum * buffer + s.rest * g;
  buffer = b;
  parameter -= s.lr * (s.nesterov ? g + s.momentum * b : b);
}

}  // namespace tenon::sgd
