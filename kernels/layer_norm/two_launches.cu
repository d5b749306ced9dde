// The gradient of layer normalisation, plainly: dx by a block a row, which it reads twice; then dgamma and
// dbeta by a thread for each column, all rows in their order. Bound by memory bandwidth, with everything read
// three times, and where there are few columns by the latency of the rows.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/block_rows.h"
#include "kernels/layer_norm/layer_norm.h"

namespace tenon {
namespace {

void run(const LayerNormBackward::Args& a, Stream& stream) {
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, block_rows_config(rows), row_gradients<T, T>, a.dy.as<T>(), a.x.as<T>(), a.gamma.as<T>(),
           a.mean.as<float>(), a.rstd.as<float>(), a.dx.as<T>(), columns);
    launch_affine_gradients(stream, a.dy.as<T>(), a.x.as<T>(), a.mean.as<float>(), a.rstd.as<float>(), rows,
                            columns, a.dgamma.as<T>(), a.dbeta.as<T>());
  });
}

const Register<LayerNormBackward> registered{
    {.name = "two_launches", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = run}};

}  // namespace
}  // namespace tenon
