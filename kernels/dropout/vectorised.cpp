// Dropout on the CPU, rows in parallel, 64 random numbers at a time. Bound by making those.
#include "kernels/base/registry.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/dropout/dropout.h"

namespace tenon {
namespace {

constexpr int64_t rows_per_task = 16;

void run(const DropoutOp::Args& a, Stream&) {
  const int64_t columns = a.x.shape[1];
  parallel_for(a.x.shape[0], rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = a.x.as<float>() + row * columns;
      float* y = a.y.as<float>() + row * columns;
      cpu::dropout_factors(a.dropout, static_cast<uint64_t>(a.row_keys.as<int64_t>()[row]), columns, y);
      for (int64_t i = 0; i < columns; ++i) y[i] *= x[i];
    }
  });
}

const Register<DropoutOp> vectorised{{.name = "vectorised",
                                      .device = Device::cpu,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .workspace = cpu::workspace_of_either<DropoutOp>,
                                      .run = cpu::run_either<DropoutOp, run>}};

}  // namespace
}  // namespace tenon
