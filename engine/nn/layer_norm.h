// torch.nn.LayerNorm over the last dimension: weight and bias (size).
#pragma once
#include "engine/nn/module.h"

namespace tenon {

class LayerNormModule final : public Module {
 public:
  LayerNormModule(int64_t size, double eps)
      : weight_(Tensor::full({size}, DType::f32, 1)), bias_(Tensor::zeros({size}, DType::f32)), eps_(eps) {}

  void visit(Visitor& v) override {
    v("weight", weight_);
    v("bias", bias_);
  }
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  double eps() const { return eps_; }

 private:
  Tensor weight_, bias_;
  double eps_;
};

}  // namespace tenon
