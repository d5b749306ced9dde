// Sums on the CPU: blocks of 64 rows, or of 16384 elements, in parallel, then the blocks in order. Bandwidth
// bound.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

constexpr int64_t rows_per_block = 64;
constexpr int64_t elements_per_block = 16384;

int64_t blocks(const SumRows::Args& a) { return (a.x.shape[0] + rows_per_block - 1) / rows_per_block; }

size_t workspace(const SumRows::Args& a) {
  return static_cast<size_t>(blocks(a) * a.x.shape[1]) * sizeof(float);
}

void sum_rows(const SumRows::Args& a, Stream&) {
  const int64_t columns = a.x.shape[1];
  const Buffer scratch(Device::cpu, workspace(a));
  float* partial = scratch.as<float>();  // (blocks, N)
  parallel(blocks(a), [&](int64_t block) {
    float* sums = partial + block * columns;
    std::fill_n(sums, columns, 0.0f);
    const int64_t end = std::min(a.x.shape[0], (block + 1) * rows_per_block);
    for (int64_t row = block * rows_per_block; row < end; ++row) {
      const float* x = a.x.as<float>() + row * a.x.stride[0];
      for (int64_t i = 0; i < columns; ++i) sums[i] += x[i];
    }
  });
  float* y = a.y.as<float>();
  std::fill_n(y, columns, 0.0f);
  for (int64_t block = 0; block < blocks(a); ++block)
    for (int64_t i = 0; i < columns; ++i) y[i] += partial[block * columns + i];
}

int64_t blocks(const SumAll::Args& a) { return (a.x.size() + elements_per_block - 1) / elements_per_block; }

void sum_all(const SumAll::Args& a, Stream&) {
  std::vector<float> partial(static_cast<size_t>(blocks(a)));
  parallel_for(a.x.size(), elements_per_block, [&](int64_t begin, int64_t end) {
    const float* x = a.x.as<float>() + begin;
    partial[static_cast<size_t>(begin / elements_per_block)] =
        cpu::sum(end - begin, [=](int64_t i) { return x[i]; });
  });
  const float total = cpu::sum(static_cast<int64_t>(partial.size()),
                               [&](int64_t i) { return partial[static_cast<size_t>(i)]; });
  *a.y.as<float>() = static_cast<float>(a.scale) * total;
}

const Register<SumRows> vectorised_rows{{.name = "vectorised",
                                         .device = Device::cpu,
                                         .priority = 10,
                                         .dtypes = {DType::f32, DType::bf16},
                                         .workspace = cpu::workspace_of_either<SumRows, workspace>,
                                         .run = cpu::run_either<SumRows, sum_rows>}};
const Register<SumAll> vectorised_all{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = sum_all}};

}  // namespace
}  // namespace tenon
