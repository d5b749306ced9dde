// The standard library's functions, for the plain variants.
#pragma once
#include <cmath>

namespace tenon::gru {

struct StandardMath {
  template <class T>
  static T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
  }
  template <class T>
  static T tanh(T x) {
    return std::tanh(x);
  }
};

}  // namespace tenon::gru
