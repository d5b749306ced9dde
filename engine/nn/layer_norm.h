// torch.nn.LayerNorm over the last dimension: weight and bias (size).
#pragma once
#include "engine/nn/module.h"
#include "engine/nn/parameter_cast.h"

namespace tenon {

class LayerNormModule final : public Module {
 public:
  LayerNormModule(int64_t size, double eps)
      : weight_(Tensor::full({size}, DType::f32, 1)), bias_(Tensor::zeros({size}, DType::f32)), eps_(eps) {}

  void visit(Visitor& v) override {
    v("weight", weight_);
    v("bias", bias_);
  }
  // In the element type of what is normalised.
  Tensor weight(DType dtype) { return weight_cast_(weight_, dtype); }
  Tensor bias(DType dtype) { return bias_cast_(bias_, dtype); }
  double eps() const { return eps_; }

 private:
  Tensor weight_, bias_;
  ParameterCast weight_cast_, bias_cast_;
  double eps_;
};

}  // namespace tenon
