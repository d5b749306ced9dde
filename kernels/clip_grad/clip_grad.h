// Scales all gradients by min(1, max_norm / (norm + 1e-6)), in place: the second half of
// torch.nn.utils.clip_grad_norm_. A norm that is not finite makes every gradient NaN, so that it is seen.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct ScaleTensors {
  static constexpr std::string_view name = "clip_grad";

  struct Args {
    std::vector<TensorView> grads;  // of any shapes; read and written
    TensorView norm;                // (1), f32 (f64 for f64): from GradNorm
    double max_norm = 1;
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a);
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.norm.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

namespace clip_grad {

template <class T>
constexpr T factor(T norm, double max_norm) {
  const T wanted = T(max_norm) / (norm + T(1e-6));
  return wanted >= T(1) ? T(1) : wanted;
}

}  // namespace clip_grad
}  // namespace tenon
