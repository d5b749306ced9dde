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

// scratch(2, columns): the factors of a row, and the sum as it is rounded to its type.
template <class T>
void forward_row(const DropoutResidualLayerNorm::Args& a, int64_t row, float* scratch) {
  const int64_t columns = a.x.shape[1];
  const T *x = a.x.as<T>() + row * columns, *residual = a.residual.as<T>() + row * columns;
  T* sum = a.sum.defined() ? a.sum.as<T>() + row * columns : reinterpret_cast<T*>(scratch + columns);
  if (a.dropout.active()) {
    cpu::dropout_factors(a.dropout, key_of(a.row_keys, row), columns, scratch);
    for (int64_t i = 0; i < columns; ++i) sum[i] = T(float(residual[i]) + float(x[i]) * scratch[i]);
  } else {
    for (int64_t i = 0; i < columns; ++i) sum[i] = T(float(residual[i]) + float(x[i]));
  }
  layer_norm::vector_forward_row(sum, a.gamma.as<T>(), a.beta.as<T>(), columns, a.eps,
                                 a.y.as<T>() + row * columns, a.mean.as<float>()[row],
                                 a.rstd.as<float>()[row]);
}

template <class T>
void forward(const DropoutResidualLayerNorm::Args& a) {
  parallel_for(a.x.shape[0], layer_norm::rows_per_task, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(2 * a.x.shape[1]));
    for (int64_t row = begin; row < end; ++row) forward_row<T>(a, row, scratch.data());
  });
}

// dresidual as it is, and dx through the mask, from the sum's gradient as it was before rounding.
template <class T>
void store_gradients(const DropoutResidualLayerNormBackward::Args& a, int64_t row, const float* dsum) {
  const int64_t columns = a.dy.shape[1];
  T* dresidual = a.dresidual.as<T>() + row * columns;
  for (int64_t i = 0; i < columns; ++i) dresidual[i] = T(dsum[i]);
  if (!a.dx.defined()) return;
  T* dx = a.dx.as<T>() + row * columns;
  if (!a.dropout.active()) {
    std::copy_n(dresidual, columns, dx);
    return;
  }
  constexpr int64_t piece = 256;
  float factors[piece];
  for (int64_t first = 0; first < columns; first += piece) {
    const int64_t count = std::min(piece, columns - first);
    cpu::dropout_factors(a.dropout, key_of(a.row_keys, row) + static_cast<uint64_t>(first), count, factors);
    for (int64_t i = 0; i < count; ++i) dx[first + i] = T(dsum[first + i] * factors[i]);
  }
}

size_t workspace(const DropoutResidualLayerNormBackward::Args& a) {
  return layer_norm::backward_workspace(a.dy.shape[0], a.dy.shape[1]);
}

template <class T>
void backward(const DropoutResidualLayerNormBackward::Args& a) {
  const int64_t columns = a.dy.shape[1];
  layer_norm::for_each_row_backward(a.dy.shape[0], columns, a.dgamma.as<T>(), a.dbeta.as<T>(),
                                    [&](int64_t row, float* dgamma, float* dbeta) {
                                      thread_local std::vector<float> dsum;
                                      dsum.resize(static_cast<size_t>(columns));
                                      layer_norm::vector_backward_row(
                                          a.dy.as<T>() + row * columns, a.sum.as<T>() + row * columns,
                                          a.gamma.as<T>(), columns, a.mean.as<float>()[row],
                                          a.rstd.as<float>()[row], dsum.data(), dgamma, dbeta);
                                      store_gradients<T>(a, row, dsum.data());
                                    });
}

const Register<DropoutResidualLayerNorm> vectorised{
    {.name = "vectorised",
     .device = Device::cpu,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16},
     .run = [](const DropoutResidualLayerNorm::Args& a, Stream&) {
       dispatch<float, bf16>(a.x.dtype, [&]<class T>() { forward<T>(a); });
     }}};
const Register<DropoutResidualLayerNormBackward> vectorised_backward{
    {.name = "vectorised",
     .device = Device::cpu,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16},
     .workspace = workspace,
     .run = [](const DropoutResidualLayerNormBackward::Args& a, Stream&) {
       dispatch<float, bf16>(a.dy.dtype, [&]<class T>() { backward<T>(a); });
     }}};

}  // namespace
}  // namespace tenon
