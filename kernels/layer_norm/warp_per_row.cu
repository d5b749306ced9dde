// Layer normalisation, a warp a row. The lanes hold the row in registers, so that x is read from memory once:
// for the mean, then for the squared differences from it, both summed by shuffles, then for y. Rows of more
// than 8 vectors a lane are read three times, the later times from L1. Bound by memory bandwidth: x in, y
// out.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layer_norm/warp_rows.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
struct Rows {
  const T *x, *gamma, *beta;
  T* y;
  float *mean, *rstd;
  int64_t rows, columns;
  float eps;
};

template <class T, int width, int held>
__global__ void __launch_bounds__(warps* warp_size, 4) forward(Rows<T> rows) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows.rows) return;
  const T* x = rows.x + row * rows.columns;
  HeldRow<T, width, held> held_x;
  float sum = 0;
  for_each_vector<width, held, warp_size>(rows.columns, lane_number(), [&](int k, int64_t column) {
    const auto& values = held_x.read(k, x + column);
    for (int i = 0; i < width; ++i) sum += to_float(values[i]);
  });
  normalise_held(held_x, x, sum, rows.columns, rows.gamma, rows.beta, rows.eps, rows.y + row * rows.columns,
                 rows.mean + row, rows.rstd + row);
}

void run(const LayerNorm::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const Rows<T> rows{a.x.as<T>(),  a.gamma.as<T>(),    a.beta.as<T>(),
                       a.y.as<T>(),  a.mean.as<float>(), a.rstd.as<float>(),
                       a.x.shape[0], a.x.shape[1],       static_cast<float>(a.eps)};
    dispatch_row<T, warp_size, 4, 8>(
        rows.columns, {rows.x, rows.gamma, rows.beta, rows.y}, [&]<int width, int held>() {
          launch(stream, {.grid = ceil_div(rows.rows, warps), .block = warps * warp_size},
                 forward<T, width, held>, rows);
        });
  });
}

const Register<LayerNorm> registered{{.name = "warp_per_row",
                                      .device = kernel_device,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .run = run}};

}  // namespace
}  // namespace tenon
