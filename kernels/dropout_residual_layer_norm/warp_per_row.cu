// Dropout + residual + layer norm, a warp a row: the sum is made in registers, written once where it is kept,
// and normalised from there. Of four neighbouring elements one Philox block is drawn. Rows of more than 8
// vectors a lane are read again from memory. Bound by memory bandwidth: x and residual in, sum and y out.
#include "kernels/base/registry.h"
#include "kernels/dropout/device_mask.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/layer_norm/warp_rows.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
struct Rows {
  const T *x, *residual, *gamma, *beta;
  const int64_t* row_keys;  // null where dropout is not active
  T *y, *sum;               // sum may be null
  float *mean, *rstd;
  int64_t rows, columns;
  float eps;
  DropoutMask mask;
};

template <class T, int width, int held>
__global__ void __launch_bounds__(warps* warp_size) forward(Rows<T> rows) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows.rows) return;
  const int64_t start = row * rows.columns;
  T *y = rows.y + start, *memory = rows.sum ? rows.sum + start : y;
  const auto key = static_cast<uint64_t>(rows.mask.active() ? rows.row_keys[row] : 0);
  HeldRow<T, width, held> held_sum;
  float sum = 0;
  for_each_vector<width, held, warp_size>(rows.columns, lane_number(), [&](int k, int64_t column) {
    const auto x = load_vector<width>(rows.x + start + column);
    auto values = load_vector<width>(rows.residual + start + column);
    float factors[width];
    for (float& factor : factors) factor = 1;
    if (rows.mask.active()) rows.mask.factors(key + static_cast<uint64_t>(column), factors);
    for (int i = 0; i < width; ++i) {
      values[i] = from_float<T>(to_float(values[i]) + to_float(x[i]) * factors[i]);
      sum += to_float(values[i]);
    }
    held_sum.put(k, memory + column, values);
    if (held > 0 && rows.sum) store_vector(memory + column, values);
  });
  normalise_held(held_sum, memory, sum, rows.columns, rows.gamma, rows.beta, rows.eps, y, rows.mean + row,
                 rows.rstd + row);
}

void run(const DropoutResidualLayerNorm::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const Rows<T> rows{a.x.as<T>(),
                       a.residual.as<T>(),
                       a.gamma.as<T>(),
                       a.beta.as<T>(),
                       a.row_keys.as<int64_t>(),
                       a.y.as<T>(),
                       a.sum.as<T>(),
                       a.mean.as<float>(),
                       a.rstd.as<float>(),
                       a.x.shape[0],
                       a.x.shape[1],
                       static_cast<float>(a.eps),
                       DropoutMask(a.dropout)};
    dispatch_row<T, warp_size, 4, 8>(
        rows.columns, {rows.x, rows.residual, rows.gamma, rows.beta, rows.y, rows.sum},
        [&]<int width, int held>() {
          launch(stream, {.grid = ceil_div(rows.rows, warps), .block = warps * warp_size},
                 forward<T, width, held>, rows);
        });
  });
}

const Register<DropoutResidualLayerNorm> registered{{.name = "warp_per_row",
                                                     .device = kernel_device,
                                                     .priority = 10,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .run = run}};

}  // namespace
}  // namespace tenon
