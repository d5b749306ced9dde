// The standard library's functions, for the plain variants.
#pragma once
#include <cmath>

namespace tenon::gelu {

struct StandardMath {
  template <class T>
  static T erf(T x) {
    return std::erf(x);
  }
  template <class T>
  static T tanh(T x) {
    return std::tanh(x);
  }
  template <class T>
  static T exp(T x) {
    return std::exp(x);
  }
};

}  // namespace tenon::gelu
