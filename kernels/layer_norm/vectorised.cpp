// Layer normalisation on the CPU, rows in parallel. A row is read from cache three times and from memory
// once. Bandwidth bound.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layer_norm/vector_rows.h"

namespace tenon {
namespace {

void forward(const LayerNorm::Args& a, Stream&) {
  const int64_t columns = a.x.shape[1];
  parallel_for(a.x.shape[0], layer_norm::rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      layer_norm::vector_forward_row(a.x.as<float>() + row * columns, a.gamma.as<float>(), a.beta.as<float>(),
                                     columns, a.eps, a.y.as<float>() + row * columns, a.mean.as<float>()[row],
                                     a.rstd.as<float>()[row]);
  });
}

size_t workspace(const LayerNormBackward::Args& a) {
  return layer_norm::backward_workspace(a.x.shape[0], a.x.shape[1]);
}

void backward(const LayerNormBackward::Args& a, Stream&) {
  const int64_t columns = a.x.shape[1];
  layer_norm::for_each_row_backward(a.x.shape[0], columns, a.dgamma.as<float>(), a.dbeta.as<float>(),
                                    [&](int64_t row, float* dgamma, float* dbeta) {
                                      layer_norm::vector_backward_row(
                                          a.dy.as<float>() + row * columns, a.x.as<float>() + row * columns,
                                          a.gamma.as<float>(), columns, a.mean.as<float>()[row],
                                          a.rstd.as<float>()[row], a.dx.as<float>() + row * columns, dgamma,
                                          dbeta);
                                    });
}

const Register<LayerNorm> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = forward}};
const Register<LayerNormBackward> vectorised_backward{{.name = "vectorised",
                                                       .device = Device::cpu,
                                                       .priority = 10,
                                                       .dtypes = {DType::f32},
                                                       .workspace = workspace,
                                                       .run = backward}};

}  // namespace
}  // namespace tenon
