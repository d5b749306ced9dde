// Stochastic gradient descent with momentum over all parameters in one call, in place; the formula and its
// order of operations are those of torch.optim.SGD.
//   g += weight_decay p;  b = momentum b + (1 - dampening) g, on the first step b = g
//   p -= lr b, with nesterov p -= lr (g + momentum b)
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Sgd {
  static constexpr std::string_view name = "sgd";

  struct Args {
    std::vector<TensorView> params, grads;          // tensors of equal shapes; grads are only read
    std::vector<TensorView> momentum_buffers = {};  // the same, or empty where momentum is 0
    double lr = 1e-2, momentum = 0, weight_decay = 0, dampening = 0;
    bool nesterov = false;
    bool first_step = false;  // the buffers hold nothing yet
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
