// Layer normalisation on the CPU, rows in parallel. A row is read from cache three times and from memory
// once; sums run in sixteen lanes, so that the compiler keeps them in vector registers. Bandwidth bound.
// The backward sums dgamma and dbeta over blocks of 64 rows and then over the blocks, whatever the threads.
#include <cmath>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/layer_norm/layer_norm.h"

namespace tenon {
namespace {

constexpr int64_t rows_per_task = 16;
constexpr int64_t rows_per_block = 64;

void forward_row(const LayerNorm::Args& a, int64_t row) {
  const int64_t columns = a.x.shape[1];
  const float* x = a.x.as<float>() + row * columns;
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  float* y = a.y.as<float>() + row * columns;
  const auto count = static_cast<float>(columns);
  const float mean = cpu::sum(columns, [=](int64_t i) { return x[i]; }) / count;
  const float squares = cpu::sum(columns, [=](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
  const float rstd = 1.0f / std::sqrt(squares / count + static_cast<float>(a.eps));
  for (int64_t i = 0; i < columns; ++i) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
  a.mean.as<float>()[row] = mean;
  a.rstd.as<float>()[row] = rstd;
}

void forward(const LayerNorm::Args& a, Stream&) {
  parallel_for(a.x.shape[0], rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) forward_row(a, row);
  });
}

// dgamma and dbeta are this block's own partial sums.
void backward_row(const LayerNormBackward::Args& a, int64_t row, float* dgamma, float* dbeta) {
  const int64_t columns = a.x.shape[1];
  const float* x = a.x.as<float>() + row * columns;
  const float* dy = a.dy.as<float>() + row * columns;
  const float* gamma = a.gamma.as<float>();
  float* dx = a.dx.as<float>() + row * columns;
  const float mean = a.mean.as<float>()[row], rstd = a.rstd.as<float>()[row];
  const auto count = static_cast<float>(columns);
  const float sum = cpu::sum(columns, [=](int64_t i) { return dy[i] * gamma[i]; }) / count;
  const float dot =
      cpu::sum(columns, [=](int64_t i) { return dy[i] * gamma[i] * ((x[i] - mean) * rstd); }) / count;
  for (int64_t i = 0; i < columns; ++i) {
    const float normal = (x[i] - mean) * rstd;
    dgamma[i] += dy[i] * normal;
    dbeta[i] += dy[i];
    dx[i] = rstd * (dy[i] * gamma[i] - sum - normal * dot);
  }
}

int64_t blocks(const LayerNormBackward::Args& a) {
  return (a.x.shape[0] + rows_per_block - 1) / rows_per_block;
}

size_t workspace(const LayerNormBackward::Args& a) {
  return static_cast<size_t>(2 * blocks(a) * a.x.shape[1]) * sizeof(float);
}

void backward(const LayerNormBackward::Args& a, Stream&) {
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  const Buffer scratch(Device::cpu, workspace(a));
  float* partial = scratch.as<float>();  // (blocks, 2, H)
  parallel(blocks(a), [&](int64_t block) {
    float* dgamma = partial + 2 * block * columns;
    std::fill_n(dgamma, 2 * columns, 0.0f);
    const int64_t end = std::min(rows, (block + 1) * rows_per_block);
    for (int64_t row = block * rows_per_block; row < end; ++row)
      backward_row(a, row, dgamma, dgamma + columns);
  });
  std::fill_n(a.dgamma.as<float>(), columns, 0.0f);
  std::fill_n(a.dbeta.as<float>(), columns, 0.0f);
  for (int64_t block = 0; block < blocks(a); ++block) {
    const float* from = partial + 2 * block * columns;
    for (int64_t i = 0; i < columns; ++i) a.dgamma.as<float>()[i] += from[i];
    for (int64_t i = 0; i < columns; ++i) a.dbeta.as<float>()[i] += from[columns + i];
  }
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
