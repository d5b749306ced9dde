// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) over all parameters in one call, in place;
// the formula and its order of operations are those of torch.optim.Adam and torch.optim.AdamW.
//   decoupled: p -= lr weight_decay p, else g += weight_decay p
//   m += (1 - beta1) (g - m)   v = beta2 v + (1 - beta2) g^2
//   p -= lr / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Adam {
  static constexpr std::string_view name = "adam";

  struct Args {
    std::vector<TensorView> params, grads, exp_avg,
        exp_avg_sq;  // tensors of equal shapes; grads are only read
    double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    bool decoupled = false;  // AdamW
    int64_t step = 1;        // from 1 on
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a);
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.params.empty() ? DType::f32 : a.params[0].dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
