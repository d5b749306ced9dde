// The end of the operations that normalise rows, a warp a row: the lanes hold the row and have each summed up
// their part of it. The squared differences from the mean follow, then y.
#pragma once
#include "kernels/layer_norm/row_vectors.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// `memory` is the row where it is too long for registers, and may then be y; `sum` is this lane's.
template <class T, int width, int held>
__device__ void normalise_held(const HeldRow<T, width, held>& row, const T* memory, float sum,
                               int64_t columns, const T* gamma, const T* beta, float eps, T* y,
                               float* mean_out, float* rstd_out) {
  const auto count = static_cast<float>(columns);
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, warp_size>(columns, lane_number(), body);
  };
  const float mean = warp_sum(sum) / count;
  float squares = 0;
  each([&](int k, int64_t column) {
    const auto values = row.again(k, memory + column);
    for (int i = 0; i < width; ++i) {
      const float difference = to_float(values[i]) - mean;
      squares += difference * difference;
    }
  });
  const float rstd = 1.0f / sqrtf(warp_sum(squares) / count + eps);
  each([&](int k, int64_t column) {
    const auto values = row.again(k, memory + column);
    const auto scale = load_vector<width>(gamma + column), shift = load_vector<width>(beta + column);
    Vector<T, width> result;
    for (int i = 0; i < width; ++i)
      result[i] =
          from_float<T>((to_float(values[i]) - mean) * rstd * to_float(scale[i]) + to_float(shift[i]));
    store_vector(y + column, result);
  });
  if (lane_number() == 0) {
    *mean_out = mean;
    *rstd_out = rstd;
  }
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
