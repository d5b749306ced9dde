// Sums of the columns of a matrix. A block takes 32 columns, one a lane; each of its 16 warps adds every 16th
// row, and the first warp adds what they found, in their order. Bound by memory bandwidth once there are a
// few thousand columns, before that by the latency of the rows / 16 loads of a thread.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int column_sums_warps = 16;

struct ColumnSumsSmem {
  float partial[column_sums_warps][warp_size];
};

template <class In, class Out>
__global__ void column_sums(const In* x, int64_t stride, int64_t rows, int64_t columns, Out* y) {
  auto& smem = shared<ColumnSumsSmem>();
  const int warp = warp_number(), lane = lane_number();
  const int64_t column = int64_t{blockIdx.x} * warp_size + lane;
  float sum = 0;
  if (column < columns)
    for (int64_t row = warp; row < rows; row += column_sums_warps) sum += to_float(x[row * stride + column]);
  smem.partial[warp][lane] = sum;
  sync_threads();
  if (warp > 0 || column >= columns) return;
  sum = 0;
  for (int i = 0; i < column_sums_warps; ++i) sum += smem.partial[i][lane];
  y[column] = from_float<Out>(sum);
}

// y (N) = the sum over the rows of x (M, N), whose rows start every `stride` elements.
template <class In, class Out>
void sum_columns(Stream& stream, const In* x, int64_t stride, int64_t rows, int64_t columns, Out* y) {
  launch(stream,
         {.grid = ceil_div(columns, warp_size),
          .block = column_sums_warps * warp_size,
          .shared_bytes = sizeof(ColumnSumsSmem)},
         column_sums<In, Out>, x, stride, rows, columns, y);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
