// What the softmax of a row of logits is divided by.
#pragma once
#include <cmath>

#include "kernels/base/accumulator.h"

namespace tenon::cross_entropy {

template <class T>
struct Normaliser {
  T largest, sum;  // of exp(z - largest)

  constexpr T probability(T z) const { return std::exp(z - largest) / sum; }
  constexpr T loss(T z) const { return std::log(sum) + (largest - z); }  // where z is the label's logit
};

template <class T>
constexpr Normaliser<accumulator<T>> normaliser(const T* z, int64_t classes) {
  using Sum = accumulator<T>;
  Normaliser<Sum> row{-INFINITY, 0};
  for (int64_t i = 0; i < classes; ++i) row.largest = row.largest < Sum(z[i]) ? Sum(z[i]) : row.largest;
  for (int64_t i = 0; i < classes; ++i) row.sum += std::exp(Sum(z[i]) - row.largest);
  return row;
}

}  // namespace tenon::cross_entropy
