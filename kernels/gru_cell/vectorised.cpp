// The GRU cell on the CPU: rows in parallel, vector instructions by the compiler along the hidden units.
#include "kernels/base/registry.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/vector_math.h"
#include "kernels/gru_cell/gru_cell.h"

namespace tenon {
namespace {

constexpr int64_t rows_per_task = 16;

void forward_row(int64_t h, const float* __restrict x, const float* __restrict hidden,
                 const float* __restrict state, float* __restrict next) {
  for (int64_t j = 0; j < h; ++j) {
    const auto g = gru::gates<gru::VectorMath, float>({x[j], x[h + j], x[2 * h + j]},
                                                      {hidden[j], hidden[h + j], hidden[2 * h + j]});
    next[j] = gru::next_state(g, state[j]);
  }
}

void backward_row(int64_t h, const float* __restrict x, const float* __restrict hidden,
                  const float* __restrict state, const float* __restrict dh_next, float* __restrict dx,
                  float* __restrict dhidden, float* __restrict dh) {
  for (int64_t j = 0; j < h; ++j) {
    const auto g = gru::gates<gru::VectorMath, float>({x[j], x[h + j], x[2 * h + j]},
                                                      {hidden[j], hidden[h + j], hidden[2 * h + j]});
    const auto d = gru::gradient(g, state[j], dh_next[j]);
    dx[j] = dhidden[j] = d.r;
    dx[h + j] = dhidden[h + j] = d.z;
    dx[2 * h + j] = d.n;
    dhidden[2 * h + j] = d.hn;
    dh[j] = d.h;
  }
}

void run(const GruCell::Args& a, Stream&) {
  const int64_t h = a.h.shape[1];
  parallel_for(a.h.shape[0], rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      forward_row(h, a.x_gates.as<float>() + row * 3 * h, a.h_gates.as<float>() + row * 3 * h,
                  a.h.as<float>() + row * h, a.h_next.as<float>() + row * h);
  });
}

void run_backward(const GruCellBackward::Args& a, Stream&) {
  const int64_t h = a.h.shape[1];
  parallel_for(a.h.shape[0], rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      backward_row(h, a.x_gates.as<float>() + row * 3 * h, a.h_gates.as<float>() + row * 3 * h,
                   a.h.as<float>() + row * h, a.dh_next.as<float>() + row * h,
                   a.dx_gates.as<float>() + row * 3 * h, a.dh_gates.as<float>() + row * 3 * h,
                   a.dh.as<float>() + row * h);
  });
}

const Register<GruCell> vectorised{{.name = "vectorised",
                                    .device = Device::cpu,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .workspace = cpu::workspace_of_either<GruCell>,
                                    .run = cpu::run_either<GruCell, run>}};
const Register<GruCellBackward> vectorised_backward{{.name = "vectorised",
                                                     .device = Device::cpu,
                                                     .priority = 10,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .workspace = cpu::workspace_of_either<GruCellBackward>,
                                                     .run = cpu::run_either<GruCellBackward, run_backward>}};

}  // namespace
}  // namespace tenon
