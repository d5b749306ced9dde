// The gradient of dropout + residual + layer norm, a warp a row: kernels/layer_norm/warp_rows_backward.h,
// with the mask drawn anew for dx. Bound by memory bandwidth: dy and sum in, dresidual and dx out.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/dropout/device_mask.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/layer_norm/warp_rows_backward.h"

namespace tenon {
namespace {

template <class T>
struct StoreBoth {
  T *dx, *dresidual;        // dx may be null
  const int64_t* row_keys;  // null where dropout is not active
  int64_t columns;
  DropoutMask mask;

  template <int width>
  __device__ void operator()(int64_t row, int64_t column, const float (&values)[width]) const {
    StoreRows<T>{dresidual, columns}(row, column, values);
    if (!dx) return;
    float masked[width];
    for (float& factor : masked) factor = 1;
    if (mask.active()) mask.factors(static_cast<uint64_t>(row_keys[row] + column), masked);
    for (int i = 0; i < width; ++i) masked[i] *= values[i];
    StoreRows<T>{dx, columns}(row, column, masked);
  }
};

using Args = DropoutResidualLayerNormBackward::Args;

std::string supports(const Args& a) {
  return why_not_warp_rows(a.dy.dtype, a.dy.shape[1],
                           {a.dy.data, a.sum.data, a.gamma.data, a.dx.data, a.dresidual.data});
}

size_t workspace(const Args& a) { return warp_rows_workspace(a.dy.shape[0], a.dy.shape[1]); }

void run(const Args& a, Stream& stream) {
  const Buffer partial(kernel_device, workspace(a));
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    const GradientRows<T> rows{a.dy.as<T>(),       a.sum.as<T>(),       a.gamma.as<T>(), a.mean.as<float>(),
                               a.rstd.as<float>(), partial.as<float>(), a.dy.shape[0],   a.dy.shape[1]};
    const StoreBoth<T> sink{a.dx.as<T>(), a.dresidual.as<T>(), a.row_keys.as<int64_t>(), rows.columns,
                            DropoutMask(a.dropout)};
    run_warp_rows_backward(stream, rows, sink, a.dgamma.as<T>(), a.dbeta.as<T>());
  });
}

const Register<DropoutResidualLayerNormBackward> registered{{.name = "warp_per_row",
                                                             .device = kernel_device,
                                                             .priority = 10,
                                                             .dtypes = {DType::f32, DType::bf16},
                                                             .workspace = workspace,
                                                             .supports = supports,
                                                             .run = run}};

}  // namespace
}  // namespace tenon
