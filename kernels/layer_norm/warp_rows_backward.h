// The gradient of layer normalisation, a warp a row and at most 512 blocks of 4 warps, each of which walks
// the rows with that stride. A lane keeps the same columns throughout: x and dy are read once and held in
// registers, and so are its sums of dgamma and dbeta. At the end the warps of a block add theirs up through
// shared memory, and a second launch adds up the blocks, both in their order; the split depends on the number
// of rows alone. Bound by memory bandwidth: dy and x in, dx out.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>

#include "kernels/layer_norm/row_vectors.h"
#include "kernels/sum/column_sums.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int row_warps = 4;
inline constexpr int64_t most_row_blocks = 512, most_held_columns = 1024;

template <class T>
struct GradientRows {
  const T *dy, *x, *gamma;
  const float *mean, *rstd;
  float* partial;  // (blocks, 2, H): each block's dgamma and dbeta
  int64_t rows, columns;
};

template <int columns>
struct RowSums {
  float of_warp[row_warps][columns];
};

// sink(row, column, dx) takes `width` neighbouring elements of dx.
template <class T, int held, class Sink>
__global__ void __launch_bounds__(row_warps* warp_size, 2)
    warp_rows_backward(GradientRows<T> rows, Sink sink) {
  constexpr int width = 16 / sizeof(T);
  auto& smem = shared<RowSums<held * width * warp_size>>();
  const auto columns = static_cast<int>(rows.columns);
  const auto count = static_cast<float>(columns);
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, warp_size>(columns, lane_number(), body);
  };
  HeldRow<T, width, held> held_dy, held_x;
  HeldSums<width, held> dgamma, dbeta;
  each([&](int k, int) {
    dgamma.clear(k, nullptr);
    dbeta.clear(k, nullptr);
  });

  const int64_t stride = int64_t{gridDim.x} * row_warps;
  for (int64_t row = int64_t{blockIdx.x} * row_warps + warp_number(); row < rows.rows; row += stride) {
    const T *dy = rows.dy + row * columns, *x = rows.x + row * columns;
    const float mean = rows.mean[row], rstd = rows.rstd[row];
    float sum = 0, dot = 0;  // over the row, of dy gamma and of dy gamma (x - mean) rstd
    each([&](int k, int column) {
      const auto &slopes = held_dy.read(k, dy + column), &values = held_x.read(k, x + column);
      const auto gamma = load_vector<width>(rows.gamma + column);
      for (int i = 0; i < width; ++i) {
        const float scaled = to_float(slopes[i]) * to_float(gamma[i]);
        sum += scaled;
        dot += scaled * ((to_float(values[i]) - mean) * rstd);
      }
    });
    sum = warp_sum(sum) / count, dot = warp_sum(dot) / count;
    each([&](int k, int column) {
      const auto slopes = held_dy.again(k, dy + column), values = held_x.again(k, x + column);
      const auto gamma = load_vector<width>(rows.gamma + column);
      float dx[width];
      for (int i = 0; i < width; ++i) {
        const float slope = to_float(slopes[i]), normal = (to_float(values[i]) - mean) * rstd;
        dx[i] = rstd * (slope * to_float(gamma[i]) - sum - normal * dot);
        dgamma.add(k, nullptr, i, slope * normal);
        dbeta.add(k, nullptr, i, slope);
      }
      sink(row, column, dx);
    });
  }

  float* partial = rows.partial + int64_t{blockIdx.x} * 2 * columns;
  const auto add_warps = [&](const auto& sums, float* total) {
    each([&](int k, int column) { sums.store(k, smem.of_warp[warp_number()] + column); });
    sync_threads();
    for (int column = thread_number(); column < columns; column += row_warps * warp_size) {
      float sum = 0;
      for (int warp = 0; warp < row_warps; ++warp) sum += smem.of_warp[warp][column];
      total[column] = sum;
    }
  };
  add_warps(dgamma, partial);
  sync_threads();
  add_warps(dbeta, partial + columns);
}

// The sink that only stores.
template <class Dx>
struct StoreRows {
  Dx* dx;
  int64_t columns;

  template <int width>
  __device__ void operator()(int64_t row, int64_t column, const float (&values)[width]) const {
    store_rounded(dx + row * columns + column, values);
  }
};

inline int64_t row_blocks(int64_t rows) { return std::min(ceil_div(rows, row_warps), most_row_blocks); }

inline size_t warp_rows_workspace(int64_t rows, int64_t columns) {
  return static_cast<size_t>(2 * row_blocks(rows) * columns) * sizeof(float);
}

// Empty, or why these rows are not for a warp's registers.
inline std::string why_not_warp_rows(DType dtype, int64_t columns, std::initializer_list<const void*> rows) {
  if (columns > most_held_columns) return "a warp holds rows of at most 1024 columns in its registers";
  bool aligned = columns * static_cast<int64_t>(size_of(dtype)) % 16 == 0;
  for (const void* row : rows) aligned = aligned && reinterpret_cast<uintptr_t>(row) % 16 == 0;
  return aligned ? "" : "its rows do not all start at multiples of 16 bytes";
}

// Fills dgamma and dbeta, and calls the sink for all of dx.
template <class T, class Sink>
void run_warp_rows_backward(Stream& stream, const GradientRows<T>& rows, const Sink& sink, T* dgamma,
                            T* dbeta) {
  constexpr int width = 16 / sizeof(T);
  const int64_t blocks = row_blocks(rows.rows);
  const auto with = [&]<int held>() {
    launch(stream,
           {.grid = blocks,
            .block = row_warps * warp_size,
            .shared_bytes = sizeof(RowSums<held * width * warp_size>)},
           warp_rows_backward<T, held, Sink>, rows, sink);
  };
  if (rows.columns <= 768)
    with.template operator()<768 / width / warp_size>();
  else
    with.template operator()<most_held_columns / width / warp_size>();
  sum_columns(stream, rows.partial, 2 * rows.columns, blocks, rows.columns, dgamma);
  sum_columns(stream, rows.partial + rows.columns, 2 * rows.columns, blocks, rows.columns, dbeta);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
