// Layer normalisation, plainly: a block a row, which it reads three times: for the mean, for the squared
// differences from it, for y. Bound by memory bandwidth for rows beyond the cache, before that by the
// barriers of each row.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/block_rows.h"
#include "kernels/layer_norm/layer_norm.h"

namespace tenon {
namespace {

template <class T>
__global__ void forward(const T* x, const T* gamma, const T* beta, T* y, float* mean, float* rstd,
                        int64_t columns, float eps) {
  const int64_t row = blockIdx.x;
  normalise_row(x + row * columns, gamma, beta, columns, eps, y + row * columns, mean + row, rstd + row);
}

void run(const LayerNorm::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, block_rows_config(a.x.shape[0]), forward<T>, a.x.as<T>(), a.gamma.as<T>(), a.beta.as<T>(),
           a.y.as<T>(), a.mean.as<float>(), a.rstd.as<float>(), a.x.shape[1], static_cast<float>(a.eps));
  });
}

const Register<LayerNorm> registered{
    {.name = "block_per_row", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = run}};

}  // namespace
}  // namespace tenon
