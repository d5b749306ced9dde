// Rows of layer normalisation for the vectorised variants of the operations that end in one. Sums are fp32
// and run in sixteen lanes, so that the compiler keeps them in vector registers.
#pragma once
#include <cmath>

#include "kernels/base/memory.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"

namespace tenon::layer_norm {

inline constexpr int64_t rows_per_task = 16;
inline constexpr int64_t rows_per_block = 64;

// X is the element type of x, which may be a sum that is still fp32; T that of all other elements.
template <class X, class T>
void vector_forward_row(const X* x, const T* gamma, const T* beta, int64_t columns, double eps, T* y,
                        float& mean_out, float& rstd_out) {
  const auto count = static_cast<float>(columns);
  const float mean = cpu::sum(columns, [=](int64_t i) { return float(x[i]); }) / count;
  const float squares =
      cpu::sum(columns, [=](int64_t i) { return (float(x[i]) - mean) * (float(x[i]) - mean); });
  const float rstd = 1.0f / std::sqrt(squares / count + static_cast<float>(eps));
  for (int64_t i = 0; i < columns; ++i)
    y[i] = T((float(x[i]) - mean) * rstd * float(gamma[i]) + float(beta[i]));
  mean_out = mean;
  rstd_out = rstd;
}

// Writes dx, in its type or not yet rounded, and adds to dgamma and dbeta.
template <class T, class D>
void vector_backward_row(const T* dy, const T* x, const T* gamma, int64_t columns, float mean, float rstd,
                         D* dx, float* dgamma, float* dbeta) {
  const auto count = static_cast<float>(columns);
  const auto scaled = [=](int64_t i) { return float(dy[i]) * float(gamma[i]); };
  const float sum = cpu::sum(columns, scaled) / count;
  const float dot =
      cpu::sum(columns, [=](int64_t i) { return scaled(i) * ((float(x[i]) - mean) * rstd); }) / count;
  for (int64_t i = 0; i < columns; ++i) {
    const float normal = (float(x[i]) - mean) * rstd, slope = float(dy[i]);
    dgamma[i] += slope * normal;
    dbeta[i] += slope;
    dx[i] = D(rstd * (slope * float(gamma[i]) - sum - normal * dot));
  }
}

inline size_t backward_workspace(int64_t rows, int64_t columns) {
  return static_cast<size_t>((rows + rows_per_block - 1) / rows_per_block * 2 * columns) * sizeof(float);
}

// Calls body(row, dgamma, dbeta) for all rows, in parallel, where dgamma and dbeta are the sums of a block of
// 64 rows; then adds up the blocks, whatever the threads.
template <class T, class Body>
void for_each_row_backward(int64_t rows, int64_t columns, T* dgamma, T* dbeta, const Body& body) {
  const int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  const Buffer scratch(Device::cpu, backward_workspace(rows, columns));
  float* partial = scratch.as<float>();  // (blocks, 2, H)
  parallel(blocks, [&](int64_t block) {
    float* sums = partial + 2 * block * columns;
    std::fill_n(sums, 2 * columns, 0.0f);
    const int64_t end = std::min(rows, (block + 1) * rows_per_block);
    for (int64_t row = block * rows_per_block; row < end; ++row) body(row, sums, sums + columns);
  });
  for (int64_t block = 1; block < blocks; ++block)
    for (int64_t i = 0; i < 2 * columns; ++i) partial[i] += partial[2 * block * columns + i];
  for (int64_t i = 0; i < columns; ++i) {
    dgamma[i] = T(blocks ? partial[i] : 0.0f);
    dbeta[i] = T(blocks ? partial[columns + i] : 0.0f);
  }
}

}  // namespace tenon::layer_norm
