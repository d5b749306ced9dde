// Layer normalisation on the CPU, rows in parallel. A row is read from cache three times and from memory
// once. Bandwidth bound.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layer_norm/vector_rows.h"

namespace tenon {
namespace {

template <class T>
void forward(const LayerNorm::Args& a) {
  const int64_t columns = a.x.shape[1];
  parallel_for(a.x.shape[0], layer_norm::rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      layer_norm::vector_forward_row(a.x.as<T>() + row * columns, a.gamma.as<T>(), a.beta.as<T>(), columns,
                                     a.eps, a.y.as<T>() + row * columns, a.mean.as<float>()[row],
                                     a.rstd.as<float>()[row]);
  });
}

size_t workspace(const LayerNormBackward::Args& a) {
  return layer_norm::backward_workspace(a.x.shape[0], a.x.shape[1]);
}

template <class T>
void backward(const LayerNormBackward::Args& a) {
  const int64_t columns = a.x.shape[1];
  layer_norm::for_each_row_backward(
      a.x.shape[0], columns, a.dgamma.as<T>(), a.dbeta.as<T>(),
      [&](int64_t row, float* dgamma, float* dbeta) {
        layer_norm::vector_backward_row(a.dy.as<T>() + row * columns, a.x.as<T>() + row * columns,
                                        a.gamma.as<T>(), columns, a.mean.as<float>()[row],
                                        a.rstd.as<float>()[row], a.dx.as<T>() + row * columns, dgamma, dbeta);
      });
}

const Register<LayerNorm> vectorised{{.name = "vectorised",
                                      .device = Device::cpu,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .run = [](const LayerNorm::Args& a, Stream&) {
                                        dispatch<float, bf16>(a.x.dtype, [&]<class T>() { forward<T>(a); });
                                      }}};
const Register<LayerNormBackward> vectorised_backward{{.name = "vectorised",
                                                       .device = Device::cpu,
                                                       .priority = 10,
                                                       .dtypes = {DType::f32, DType::bf16},
                                                       .workspace = workspace,
                                                       .run = [](const LayerNormBackward::Args& a, Stream&) {
                                                         dispatch<float, bf16>(
                                                             a.x.dtype, [&]<class T>() { backward<T>(a); });
                                                       }}};

}  // namespace
}  // namespace tenon
