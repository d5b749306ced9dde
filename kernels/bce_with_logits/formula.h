// Binary cross entropy of one logit and its slope, from one exponential of a number that is never positive.
#pragma once
#include <cmath>

namespace tenon::bce_with_logits {

template <class T>
struct Term {
  T loss, slope;
};

template <class T>
constexpr Term<T> term(T z, T label) {
  const T e = std::exp(z < T(0) ? z : -z);
  const T sigmoid = (z < T(0) ? e : T(1)) / (T(1) + e);
  return {(z > T(0) ? z : T(0)) - z * label + std::log1p(e), sigmoid - label};
}

}  // namespace tenon::bce_with_logits
