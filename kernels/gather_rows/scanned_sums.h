// The sum of rows that go to the same place, plainly: for each row of the table a warp looks through all
// indices, 32 at a time, and adds the rows that are meant for it in their order. It takes 128 columns, four a
// lane, so that the table's rows times columns / 128 times the number of indices are read; that is its bound.
#pragma once
#include "kernels/base/view.h"
#include "kernels/gather_rows/checked_index.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int scanned_sums_warps = 4, scanned_columns_of_lane = 4;

// index may be null: 0 throughout.
template <class In, class Out>
__global__ void scanned_sums(const In* x, int64_t rows, int64_t columns, const int32_t* index, IndexKind kind,
                             Out* table, int64_t targets, IndexFault* fault) {
  const int64_t target = int64_t{blockIdx.x} * scanned_sums_warps + warp_number();
  if (target >= targets) return;
  const int64_t first = int64_t{blockIdx.y} * scanned_columns_of_lane * warp_size + lane_number();
  float sums[scanned_columns_of_lane] = {};
  for (int64_t start = 0; start < rows; start += warp_size) {
    const int64_t row = start + lane_number();
    int64_t place = -1;
    if (row < rows) place = index ? checked_index(fault, kind, index[row], row, targets) : 0;
    for (uint32_t hits = ballot(place == target); hits; hits &= hits - 1) {
      const In* source = x + (start + lowest_lane(hits)) * columns;
      for (int k = 0; k < scanned_columns_of_lane; ++k)
        if (first + k * warp_size < columns) sums[k] += to_float(source[first + k * warp_size]);
    }
  }
  for (int k = 0; k < scanned_columns_of_lane; ++k)
    if (first + k * warp_size < columns)
      table[target * columns + first + k * warp_size] = from_float<Out>(sums[k]);
}

// table[t] = sum of x[m] over index[m] == t; an absent index is 0 throughout.
template <class Out, class In>
void sum_by_scanning(Stream& stream, const In* x, int64_t rows, const TensorView& index, IndexKind kind,
                     const TensorView& table) {
  const int64_t targets = table.shape[0], columns = table.shape[1];
  launch(stream,
         {.grid = {ceil_div(targets, scanned_sums_warps),
                   ceil_div(columns, scanned_columns_of_lane * warp_size)},
          .block = scanned_sums_warps * warp_size},
         scanned_sums<In, Out>, x, rows, columns, index.defined() ? index.as<int32_t>() : nullptr, kind,
         table.as<Out>(), targets, index_fault(kernel_device));
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
