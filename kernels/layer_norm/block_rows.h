// Layer normalisation of a row by a whole block, plainly, for the operations that end in one: passes through
// memory, sums through shared memory.
#pragma once
#include "kernels/simt/block_reduce.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int block_row_warps = 4, block_row_threads = block_row_warps * warp_size;

struct BlockRowSmem {
  float partial[block_row_warps];
};

// y may be x.
template <class T>
__device__ void normalise_row(const T* x, const T* gamma, const T* beta, int64_t columns, float eps, T* y,
                              float* mean_out, float* rstd_out) {
  constexpr int threads = block_row_threads;
  float* partial = shared<BlockRowSmem>().partial;
  const auto count = static_cast<float>(columns);
  float sum = 0, squares = 0;
  for (int64_t i = thread_number(); i < columns; i += threads) sum += to_float(x[i]);
  const float mean = block_sum(sum, partial) / count;
  for (int64_t i = thread_number(); i < columns; i += threads) {
    const float difference = to_float(x[i]) - mean;
    squares += difference * difference;
  }
  const float rstd = 1.0f / sqrtf(block_sum(squares, partial) / count + eps);
  for (int64_t i = thread_number(); i < columns; i += threads)
    y[i] = from_float<T>((to_float(x[i]) - mean) * rstd * to_float(gamma[i]) + to_float(beta[i]));
  if (thread_number() == 0) *mean_out = mean, *rstd_out = rstd;
}

// Calls store(column, dx) for the columns of this thread.
template <class T, class Store>
__device__ void row_gradient(const T* dy, const T* x, const T* gamma, int64_t columns, float mean, float rstd,
                             const Store& store) {
  constexpr int threads = block_row_threads;
  float* partial = shared<BlockRowSmem>().partial;
  const auto count = static_cast<float>(columns);
  float sum = 0, dot = 0;  // over the row, of dy gamma and of dy gamma (x - mean) rstd
  for (int64_t i = thread_number(); i < columns; i += threads) {
    const float scaled = to_float(dy[i]) * to_float(gamma[i]);
    sum += scaled;
    dot += scaled * ((to_float(x[i]) - mean) * rstd);
  }
  sum = block_sum(sum, partial) / count;
  dot = block_sum(dot, partial) / count;
  for (int64_t i = thread_number(); i < columns; i += threads) {
    const float scaled = to_float(dy[i]) * to_float(gamma[i]), normal = (to_float(x[i]) - mean) * rstd;
    store(i, rstd * (scaled - sum - normal * dot));
  }
}

template <class T, class Dx>
__global__ void row_gradients(const T* dy, const T* x, const T* gamma, const float* mean, const float* rstd,
                              Dx* dx, int64_t columns) {
  const int64_t row = blockIdx.x, start = row * columns;
  row_gradient(dy + start, x + start, gamma, columns, mean[row], rstd[row],
               [&](int64_t i, float value) { dx[start + i] = from_float<Dx>(value); });
}

// dgamma and dbeta: one thread, one column, all rows in their order. Bound by the latency of the rows.
template <class T>
__global__ void affine_gradients(const T* dy, const T* x, const float* mean, const float* rstd, int64_t rows,
                                 int64_t columns, T* dgamma, T* dbeta) {
  const int64_t column = int64_t{blockIdx.x} * blockDim.x + thread_number();
  if (column >= columns) return;
  float gamma_sum = 0, beta_sum = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float slope = to_float(dy[row * columns + column]);
    gamma_sum += slope * ((to_float(x[row * columns + column]) - mean[row]) * rstd[row]);
    beta_sum += slope;
  }
  dgamma[column] = from_float<T>(gamma_sum);
  dbeta[column] = from_float<T>(beta_sum);
}

template <class T>
void launch_affine_gradients(Stream& stream, const T* dy, const T* x, const float* mean, const float* rstd,
                             int64_t rows, int64_t columns, T* dgamma, T* dbeta) {
  launch(stream, {.grid = ceil_div(columns, block_row_threads), .block = block_row_threads},
         affine_gradients<T>, dy, x, mean, rstd, rows, columns, dgamma, dbeta);
}

inline LaunchConfig block_rows_config(int64_t rows, Here here = Here::current()) {
  return {.grid = rows, .block = block_row_threads, .shared_bytes = sizeof(BlockRowSmem), .where = here};
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
