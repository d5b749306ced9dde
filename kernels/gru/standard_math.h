// The standard library's functions, for the plain variants and for GPUs.
#pragma once
#include <cmath>

namespace tenon::gru {

struct StandardMath {
  template <class T>
  static constexpr T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
  }
  template <class T>
  static constexpr T tanh(T x) {
    return std::tanh(x);
  }
};

}  // namespace tenon::gru
