// Dropout + residual + layer norm on the CPU, rows in parallel: one pass over memory where three operations
// would take three. Bandwidth bound without dropout; with it, by the random numbers.
#include "kernels/base/registry.h"
#include "kernels/cpu/dropout.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/layer_norm/vector_rows.h"

namespace tenon {
namespace {

uint64_t key_of(const TensorView& row_keys, int64_t row) {
  return static_cast<uint64_t>(row_keys.as<int64_t>()[row]);
}

// scratch(2, columns): the factors of a row, and the sum where it is not kept.
void forward_row(const DropoutResidualLayerNorm::Args& a, int64_t row, float* scratch) {
  const int64_t columns = a.x.shape[1];
  const float *x = a.x.as<float>() + row * columns, *residual = a.residual.as<float>() + row * columns;
  float* sum = a.sum.defined() ? a.sum.as<float>() + row * columns : scratch + columns;
  if (a.dropout.active()) {
    cpu::dropout_factors(a.dropout, key_of(a.row_keys, row), columns, scratch);
    for (int64_t i = 0; i < columns; ++i) sum[i] = residual[i] + x[i] * scratch[i];
  } else {
    for (int64_t i = 0; i < columns; ++i) sum[i] = residual[i] + x[i];
  }
  layer_norm::vector_forward_row(sum, a.gamma.as<float>(), a.beta.as<float>(), columns, a.eps,
                                 a.y.as<float>() + row * columns, a.mean.as<float>()[row],
                                 a.rstd.as<float>()[row]);
}

void forward(const DropoutResidualLayerNorm::Args& a, Stream&) {
  parallel_for(a.x.shape[0], layer_norm::rows_per_task, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(2 * a.x.shape[1]));
    for (int64_t row = begin; row < end; ++row) forward_row(a, row, scratch.data());
  });
}

void mask_row(const DropoutResidualLayerNormBackward::Args& a, int64_t row) {
  const int64_t columns = a.dy.shape[1];
  const float* dresidual = a.dresidual.as<float>() + row * columns;
  float* dx = a.dx.as<float>() + row * columns;
  if (a.dropout.active()) {
    cpu::dropout_factors(a.dropout, key_of(a.row_keys, row), columns, dx);
    for (int64_t i = 0; i < columns; ++i) dx[i] *= dresidual[i];
  } else {
    std::copy_n(dresidual, columns, dx);
  }
}

size_t workspace(const DropoutResidualLayerNormBackward::Args& a) {
  return layer_norm::backward_workspace(a.dy.shape[0], a.dy.shape[1]);
}

void backward(const DropoutResidualLayerNormBackward::Args& a, Stream&) {
  const int64_t columns = a.dy.shape[1];
  layer_norm::for_each_row_backward(a.dy.shape[0], columns, a.dgamma.as<float>(), a.dbeta.as<float>(),
                                    [&](int64_t row, float* dgamma, float* dbeta) {
                                      layer_norm::vector_backward_row(
                                          a.dy.as<float>() + row * columns, a.sum.as<float>() + row * columns,
                                          a.gamma.as<float>(), columns, a.mean.as<float>()[row],
                                          a.rstd.as<float>()[row], a.dresidual.as<float>() + row * columns,
                                          dgamma, dbeta);
                                      if (a.dx.defined()) mask_row(a, row);
                                    });
}

const Register<DropoutResidualLayerNorm> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = forward}};
const Register<DropoutResidualLayerNormBackward> vectorised_backward{{.name = "vectorised",
                                                                      .device = Device::cpu,
                                                                      .priority = 10,
                                                                      .dtypes = {DType::f32},
                                                                      .workspace = workspace,
                                                                      .run = backward}};

}  // namespace
}  // namespace tenon
