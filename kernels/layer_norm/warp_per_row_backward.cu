// The gradient of layer normalisation, a warp a row: kernels/layer_norm/warp_rows_backward.h.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layer_norm/warp_rows_backward.h"

namespace tenon {
namespace {

std::string supports(const LayerNormBackward::Args& a) {
  return why_not_warp_rows(a.x.dtype, a.x.shape[1], {a.dy.data, a.x.data, a.gamma.data, a.dx.data});
}

size_t workspace(const LayerNormBackward::Args& a) { return warp_rows_workspace(a.x.shape[0], a.x.shape[1]); }

void run(const LayerNormBackward::Args& a, Stream& stream) {
  const Buffer partial(kernel_device, workspace(a));
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const GradientRows<T> rows{a.dy.as<T>(),       a.x.as<T>(),         a.gamma.as<T>(), a.mean.as<float>(),
                               a.rstd.as<float>(), partial.as<float>(), a.x.shape[0],    a.x.shape[1]};
    run_warp_rows_backward(stream, rows, StoreRows<T>{a.dx.as<T>(), rows.columns}, a.dgamma.as<T>(),
                           a.dbeta.as<T>());
  });
}

const Register<LayerNormBackward> registered{{.name = "warp_per_row",
                                              .device = kernel_device,
                                              .priority = 20,
                                              .dtypes = {DType::f32, DType::bf16},
                                              .workspace = workspace,
                                              .supports = supports,
                                              .run = run}};

}  // namespace
}  // namespace tenon
