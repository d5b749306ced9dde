// Rows of layer normalisation in fp32 for the vectorised variants of the operations that end in one. Sums run
// in sixteen lanes, so that the compiler keeps them in vector registers.
#pragma once
#include <cmath>

#include "kernels/base/memory.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"

namespace tenon::layer_norm {

inline constexpr int64_t rows_per_task = 16;
inline constexpr int64_t rows_per_block = 64;

inline void vector_forward_row(const float* x, const float* gamma, const float* beta, int64_t columns,
                               double eps, float* y, float& mean_out, float& rstd_out) {
  const auto count = static_cast<float>(columns);
  const float mean = cpu::sum(columns, [=](int64_t i) { return x[i]; }) / count;
  const float squares = cpu::sum(columns, [=](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
  const float rstd = 1.0f / std::sqrt(squares / count + static_cast<float>(eps));
  for (int64_t i = 0; i < columns; ++i) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
  mean_out = mean;
  rstd_out = rstd;
}

// Writes dx and adds to dgamma and dbeta.
inline void vector_backward_row(const float* dy, const float* x, const float* gamma, int64_t columns,
                                float mean, float rstd, float* dx, float* dgamma, float* dbeta) {
  const auto count = static_cast<float>(columns);
  const float sum = cpu::sum(columns, [=](int64_t i) { return dy[i] * gamma[i]; }) / count;
  const float dot =
      cpu::sum(columns, [=](int64_t i) { return dy[i] * gamma[i] * ((x[i] - mean) * rstd); }) / count;
  for (int64_t i = 0; i < columns; ++i) {
    const float normal = (x[i] - mean) * rstd;
    dgamma[i] += dy[i] * normal;
    dbeta[i] += dy[i];
    dx[i] = rstd * (dy[i] * gamma[i] - sum - normal * dot);
  }
}

inline size_t backward_workspace(int64_t rows, int64_t columns) {
  return static_cast<size_t>((rows + rows_per_block - 1) / rows_per_block * 2 * columns) * sizeof(float);
}

// Calls body(row, dgamma, dbeta) for all rows, in parallel, where dgamma and dbeta are the sums of a block of
// 64 rows; then adds up the blocks, whatever the threads.
template <class Body>
void for_each_row_backward(int64_t rows, int64_t columns, float* dgamma, float* dbeta, const Body& body) {
  const int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  const Buffer scratch(Device::cpu, backward_workspace(rows, columns));
  float* partial = scratch.as<float>();  // (blocks, 2, H)
  parallel(blocks, [&](int64_t block) {
    float* sums = partial + 2 * block * columns;
    std::fill_n(sums, 2 * columns, 0.0f);
    const int64_t end = std::min(rows, (block + 1) * rows_per_block);
    for (int64_t row = block * rows_per_block; row < end; ++row) body(row, sums, sums + columns);
  });
  std::fill_n(dgamma, columns, 0.0f);
  std::fill_n(dbeta, columns, 0.0f);
  for (int64_t block = 0; block < blocks; ++block) {
    const float* from = partial + 2 * block * columns;
    for (int64_t i = 0; i < columns; ++i) dgamma[i] += from[i];
    for (int64_t i = 0; i < columns; ++i) dbeta[i] += from[columns + i];
  }
}

}  // namespace tenon::layer_norm
