// Functions of one number and arithmetic on the CPU: one pass, pieces of 4096 elements in parallel, vector
// instructions by the compiler.
#include <cmath>

#include "kernels/base/registry.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/elementwise/arithmetic.h"
#include "kernels/elementwise/formula.h"

namespace tenon {
namespace {

constexpr int64_t piece = 4096;

struct VectorMath {
  static float exp(float x) { return cpu::exp(x); }
  static float tanh(float x) { return cpu::tanh(x); }
  static float erf(float x) { return cpu::erf(x); }
  static float sigmoid(float x) { return cpu::sigmoid(x); }
  static float log1p(float x) { return std::log1p(x); }
  static float sqrt(float x) { return std::sqrt(x); }
};

void run_unary(const Unary::Args& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
    parallel_for(a.x.size(), piece, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = unary::value<kind, VectorMath>(x[i]);
    });
  });
}

void run_unary_backward(const UnaryBackward::Args& a, Stream&) {
  const float *x = a.x.as<float>(), *dy = a.dy.as<float>();
  float* dx = a.dx.as<float>();
  unary::dispatch_kind(a.kind, [&]<UnaryKind kind>() {
    parallel_for(a.x.size(), piece, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * unary::derivative<kind, VectorMath>(x[i]);
    });
  });
}

void run_mul(const Mul::Args& m, Stream&) {
  const float *a = m.a.as<float>(), *b = m.b.as<float>();
  float* y = m.y.as<float>();
  parallel_for(m.y.size(), piece, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = a[i] * b[i];
  });
}

void run_axpby(const Axpby::Args& args, Stream&) {
  const auto alpha = static_cast<float>(args.alpha), beta = static_cast<float>(args.beta);
  const float *a = args.a.as<float>(), *b = args.b.defined() ? args.b.as<float>() : nullptr;
  float* y = args.y.as<float>();
  parallel_for(args.y.size(), piece, [=](int64_t begin, int64_t end) {
    if (b)
      for (int64_t i = begin; i < end; ++i) y[i] = alpha * a[i] + beta * b[i];
    else
      for (int64_t i = begin; i < end; ++i) y[i] = alpha * a[i];
  });
}

const Register<Unary> vectorised_unary{{.name = "vectorised",
                                        .device = Device::cpu,
                                        .priority = 10,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .workspace = cpu::workspace_of_either<Unary>,
                                        .run = cpu::run_either<Unary, run_unary>}};
const Register<UnaryBackward> vectorised_unary_backward{
    {.name = "vectorised",
     .device = Device::cpu,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16},
     .workspace = cpu::workspace_of_either<UnaryBackward>,
     .run = cpu::run_either<UnaryBackward, run_unary_backward>}};
const Register<Mul> vectorised_mul{{.name = "vectorised",
                                    .device = Device::cpu,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .workspace = cpu::workspace_of_either<Mul>,
                                    .run = cpu::run_either<Mul, run_mul>}};
const Register<Axpby> vectorised_axpby{{.name = "vectorised",
                                        .device = Device::cpu,
                                        .priority = 10,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .workspace = cpu::workspace_of_either<Axpby>,
                                        .run = cpu::run_either<Axpby, run_axpby>}};

}  // namespace
}  // namespace tenon
