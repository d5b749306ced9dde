// One row of layer normalisation, plainly: shared by the plain variants of the operations that end in one.
#pragma once
#include <cmath>

#include "kernels/base/accumulator.h"

namespace tenon::layer_norm {

template <class T>
void forward_row(const T* x, const T* gamma, const T* beta, int64_t columns, double eps, T* y,
                 accumulator<T>& mean, accumulator<T>& rstd) {
  using Sum = accumulator<T>;
  Sum sum = 0, squares = 0;
  for (int64_t i = 0; i < columns; ++i) sum += Sum(x[i]);
  mean = sum / Sum(columns);
  for (int64_t i = 0; i < columns; ++i) squares += (Sum(x[i]) - mean) * (Sum(x[i]) - mean);
  rstd = Sum(1) / std::sqrt(squares / Sum(columns) + Sum(eps));
  for (int64_t i = 0; i < columns; ++i) y[i] = T((Sum(x[i]) - mean) * rstd * Sum(gamma[i]) + Sum(beta[i]));
}

// Writes dx and adds to dgamma and dbeta. Dx is T, or its accumulator where the gradient goes on to a sum.
template <class T, class Dx>
void backward_row(const T* dy, const T* x, const T* gamma, int64_t columns, accumulator<T> mean,
                  accumulator<T> rstd, Dx* dx, accumulator<T>* dgamma, accumulator<T>* dbeta) {
  using Sum = accumulator<T>;
  Sum sum = 0, dot = 0;
  for (int64_t i = 0; i < columns; ++i) {
    const Sum normal = (Sum(x[i]) - mean) * rstd, scaled = Sum(dy[i]) * Sum(gamma[i]);
    sum += scaled;
    dot += scaled * normal;
    dgamma[i] += Sum(dy[i]) * normal;
    dbeta[i] += Sum(dy[i]);
  }
  for (int64_t i = 0; i < columns; ++i) {
    const Sum normal = (Sum(x[i]) - mean) * rstd, scaled = Sum(dy[i]) * Sum(gamma[i]);
    dx[i] = Dx(rstd * (scaled - (sum + normal * dot) / Sum(columns)));
  }
}

}  // namespace tenon::layer_norm
