// Eigen's matrix product, a yardstick: 256 rows of y a task, each with Eigen's own blocking and packing; then
// the epilogue. Its rounding depends on its blocking, hence on the shape of the task.
#include "kernels/base/registry.h"
#include "kernels/cpu/parallel.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/micro_kernel.h"

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 warns inside its own intrinsics, bug 105593
#include <Eigen/Core>

namespace tenon {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Map = Eigen::Map<RowMajor, Eigen::Unaligned, Eigen::OuterStride<>>;

Map map(const TensorView& x) {
  return {x.as<float>(), x.shape[0], x.shape[1], Eigen::OuterStride<>(x.stride[0])};
}

void multiply(const Matmul::Args& args, int64_t begin, int64_t rows) {
  const Map a = map(args.a), b = map(args.b);
  auto y = map(args.y).middleRows(begin, rows);
  if (args.beta != 0)
    y *= static_cast<float>(args.beta);
  else
    y.setZero();
  if (args.transpose_a && args.transpose_b)
    y.noalias() += a.middleCols(begin, rows).transpose() * b.transpose();
  if (args.transpose_a && !args.transpose_b) y.noalias() += a.middleCols(begin, rows).transpose() * b;
  if (!args.transpose_a && args.transpose_b) y.noalias() += a.middleRows(begin, rows) * b.transpose();
  if (!args.transpose_a && !args.transpose_b) y.noalias() += a.middleRows(begin, rows) * b;
}

void run(const Matmul::Args& a, Stream&) {
  const auto [m, n, k] = Matmul::sizes(a);
  parallel_for(m, 256, [&, n = n](int64_t begin, int64_t end) {
    multiply(a, begin, end - begin);
    const auto from = [begin](const TensorView& x) {
      return x.defined() ? x.as<float>() + begin * x.stride[0] : nullptr;
    };
    Tile tile{};
    tile.y = from(a.y), tile.y_stride = a.y.stride[0];
    tile.rows = static_cast<int>(end - begin), tile.columns = static_cast<int>(n);
    best_micro_kernels().finish(tile, {.kind = a.epilogue,
                                       .bias = takes_bias(a.epilogue) ? a.bias.as<float>() : nullptr,
                                       .residual = from(a.residual),
                                       .residual_stride = a.residual.stride[0],
                                       .pre_activation = from(a.pre_activation),
                                       .pre_activation_stride = a.pre_activation.stride[0]});
  });
}

const Register<Matmul> registered{{.name = "eigen",
                                   .device = Device::cpu,
                                   .priority = 1,
                                   .dtypes = {DType::f32},
                                   .batch_invariant = false,
                                   .run = run}};

}  // namespace
}  // namespace tenon
