// Dropout + residual + layer norm and its gradient, plainly: a block a row, which stays in memory between its
// passes; dgamma and dbeta by a thread for each column, all rows in their order. Bound by memory bandwidth,
// read several times over, and where there are few columns by the latency of the rows.
#include "kernels/base/registry.h"
#include "kernels/dropout/device_mask.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/layer_norm/block_rows.h"

namespace tenon {
namespace {

template <class T>
struct Forward {
  const T *x, *residual, *gamma, *beta;
  const int64_t* row_keys;  // null where dropout is not active
  T *y, *sum;               // where the sum is not kept, y holds it until it is normalised
  float *mean, *rstd;
  int64_t columns;
  float eps;
  DropoutMask mask;
};

template <class T>
__global__ void forward(Forward<T> f) {
  const int64_t row = blockIdx.x, start = row * f.columns;
  T *y = f.y + start, *sum = f.sum ? f.sum + start : y;
  const auto first = static_cast<uint64_t>(f.mask.active() ? f.row_keys[row] : 0);
  for (int64_t i = thread_number(); i < f.columns; i += block_row_threads) {
    const float factor = f.mask.active() ? f.mask.factor(first + static_cast<uint64_t>(i)) : 1.0f;
    sum[i] = from_float<T>(to_float(f.residual[start + i]) + to_float(f.x[start + i]) * factor);
  }
  normalise_row(sum, f.gamma, f.beta, f.columns, f.eps, y, f.mean + row, f.rstd + row);
}

template <class T>
struct Backward {
  const T *dy, *sum, *gamma;
  const float *mean, *rstd;
  const int64_t* row_keys;  // null where dropout is not active
  T *dx, *dresidual;        // dx may be null
  int64_t columns;
  DropoutMask mask;
};

template <class T>
__global__ void backward(Backward<T> b) {
  const int64_t row = blockIdx.x, start = row * b.columns;
  const auto first = static_cast<uint64_t>(b.mask.active() ? b.row_keys[row] : 0);
  row_gradient(
      b.dy + start, b.sum + start, b.gamma, b.columns, b.mean[row], b.rstd[row], [&](int64_t i, float dsum) {
        b.dresidual[start + i] = from_float<T>(dsum);
        if (!b.dx) return;
        const float factor = b.mask.active() ? b.mask.factor(first + static_cast<uint64_t>(i)) : 1.0f;
        b.dx[start + i] = from_float<T>(dsum * factor);
      });
}

void run(const DropoutResidualLayerNorm::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const Forward<T> f{a.x.as<T>(),    a.residual.as<T>(),        a.gamma.as<T>(),
                       a.beta.as<T>(), a.row_keys.as<int64_t>(),  a.y.as<T>(),
                       a.sum.as<T>(),  a.mean.as<float>(),        a.rstd.as<float>(),
                       a.x.shape[1],   static_cast<float>(a.eps), DropoutMask(a.dropout)};
    launch(stream, block_rows_config(a.x.shape[0]), forward<T>, f);
  });
}

void run_backward(const DropoutResidualLayerNormBackward::Args& a, Stream& stream) {
  const int64_t rows = a.dy.shape[0], columns = a.dy.shape[1];
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    const Backward<T> b{a.dy.as<T>(),          a.sum.as<T>(),       a.gamma.as<T>(),
                        a.mean.as<float>(),    a.rstd.as<float>(),  a.row_keys.as<int64_t>(),
                        a.dx.as<T>(),          a.dresidual.as<T>(), columns,
                        DropoutMask(a.dropout)};
    launch(stream, block_rows_config(rows), backward<T>, b);
    launch_affine_gradients(stream, b.dy, b.sum, b.mean, b.rstd, rows, columns, a.dgamma.as<T>(),
                            a.dbeta.as<T>());
  });
}

const Register<DropoutResidualLayerNorm> registered{
    {.name = "block_per_row", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = run}};
const Register<DropoutResidualLayerNormBackward> registered_backward{{.name = "block_per_row",
                                                                      .device = kernel_device,
                                                                      .dtypes = {DType::f32, DType::bf16},
                                                                      .run = run_backward}};

}  // namespace
}  // namespace tenon
