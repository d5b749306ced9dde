// Softmax on the CPU, rows in parallel, with exp by vector instructions. A row stays in cache.
#include <cmath>

#include "kernels/base/registry.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/softmax/softmax.h"

namespace tenon {
namespace {

constexpr int64_t elements_per_task = 16384;

int64_t rows_per_task(int64_t columns) {
  return std::max<int64_t>(1, elements_per_task / std::max<int64_t>(columns, 1));
}

void forward_row(const float* x, int64_t columns, float* y) {
  const float largest = cpu::reduce(
      columns, -INFINITY, [=](int64_t i) { return x[i]; }, [](float a, float b) { return a > b ? a : b; });
  for (int64_t i = 0; i < columns; ++i) y[i] = cpu::exp(x[i] - largest);
  const float factor = 1.0f / cpu::sum(columns, [=](int64_t i) { return y[i]; });
  for (int64_t i = 0; i < columns; ++i) y[i] *= factor;
}

void forward(const Softmax::Args& a, Stream&) {
  const int64_t columns = a.x.shape[1];
  parallel_for(a.x.shape[0], rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      forward_row(a.x.as<float>() + row * columns, columns, a.y.as<float>() + row * columns);
  });
}

void backward(const SoftmaxBackward::Args& a, Stream&) {
  const int64_t columns = a.y.shape[1];
  parallel_for(a.y.shape[0], rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *y = a.y.as<float>() + row * columns, *dy = a.dy.as<float>() + row * columns;
      float* dx = a.dx.as<float>() + row * columns;
      const float dot = cpu::sum(columns, [=](int64_t i) { return y[i] * dy[i]; });
      for (int64_t i = 0; i < columns; ++i) dx[i] = y[i] * (dy[i] - dot);
    }
  });
}

const Register<Softmax> vectorised{{.name = "vectorised",
                                    .device = Device::cpu,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .workspace = cpu::workspace_of_either<Softmax>,
                                    .run = cpu::run_either<Softmax, forward>}};
const Register<SoftmaxBackward> vectorised_backward{{.name = "vectorised",
                                                     .device = Device::cpu,
                                                     .priority = 10,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .workspace = cpu::workspace_of_either<SoftmaxBackward>,
                                                     .run = cpu::run_either<SoftmaxBackward, backward>}};

}  // namespace
}  // namespace tenon
