// Picking rows on the CPU in parallel. Bandwidth bound.
#include "kernels/base/registry.h"
#include "kernels/gather_rows/gather_rows.h"
#include "kernels/gather_rows/scatter.h"

namespace tenon {
namespace {

constexpr int64_t rows_per_task = 64;

void forward(const GatherRows::Args& a, Stream&) {
  check_gather_index(a.index, a.x.shape[0]);
  const int64_t columns = a.x.shape[1];
  parallel_for(a.index.shape[0], rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m)
      std::copy_n(a.x.as<float>() + a.index.as<int32_t>()[m] * columns, columns,
                  a.y.as<float>() + m * columns);
  });
}

void backward(const GatherRowsBackward::Args& a, Stream&) {
  check_gather_index(a.index, a.dx.shape[0]);
  cpu::scatter_rows(a.dy.as<float>(), a.dy.shape[0], a.index, a.dx);
}

const Register<GatherRows> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = forward}};
const Register<GatherRowsBackward> vectorised_backward{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = backward}};

}  // namespace
}  // namespace tenon
