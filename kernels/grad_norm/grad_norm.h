// The L2 norm of all gradients together, as torch.nn.utils.clip_grad_norm_ computes and returns it. Squares
// are summed in fp64: a large gradient would overflow fp32, and 110 million small ones would get lost in it.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct GradNorm {
  static constexpr std::string_view name = "grad_norm";

  struct Args {
    std::vector<TensorView> grads;  // of any shapes
    TensorView norm;                // (1), f32 (f64 for f64)
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a) { return {{"norm", &a.norm}}; }
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.norm.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
