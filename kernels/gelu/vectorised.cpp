// GELU on the CPU: one pass, pieces of 4096 elements in parallel, vector instructions by the compiler.
#include "kernels/base/registry.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/gelu.h"

namespace tenon {
namespace {

constexpr int64_t piece = 4096;

struct VectorMath {
  static float erf(float x) { return cpu::erf(x); }
  static float tanh(float x) { return cpu::tanh(x); }
  static float exp(float x) { return cpu::exp(x); }
};

void run(const Gelu::Args& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  parallel_for(a.x.size(), piece, [=, tanh_form = a.tanh_form](int64_t begin, int64_t end) {
    if (tanh_form)
      for (int64_t i = begin; i < end; ++i) y[i] = gelu::value<VectorMath>(x[i], true);
    else
      for (int64_t i = begin; i < end; ++i) y[i] = gelu::value<VectorMath>(x[i], false);
  });
}

void run_backward(const GeluBackward::Args& a, Stream&) {
  const float *x = a.x.as<float>(), *dy = a.dy.as<float>();
  float* dx = a.dx.as<float>();
  parallel_for(a.x.size(), piece, [=, tanh_form = a.tanh_form](int64_t begin, int64_t end) {
    if (tanh_form)
      for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * gelu::derivative<VectorMath>(x[i], true);
    else
      for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * gelu::derivative<VectorMath>(x[i], false);
  });
}

const Register<Gelu> vectorised{{.name = "vectorised",
                                 .device = Device::cpu,
                                 .priority = 10,
                                 .dtypes = {DType::f32, DType::bf16},
                                 .workspace = cpu::workspace_of_either<Gelu>,
                                 .run = cpu::run_either<Gelu, run>}};
const Register<GeluBackward> vectorised_backward{{.name = "vectorised",
                                                  .device = Device::cpu,
                                                  .priority = 10,
                                                  .dtypes = {DType::f32, DType::bf16},
                                                  .workspace = cpu::workspace_of_either<GeluBackward>,
                                                  .run = cpu::run_either<GeluBackward, run_backward>}};

}  // namespace
}  // namespace tenon
