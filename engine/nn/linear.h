// torch.nn.Linear: weight (out, in), bias (out).
#pragma once
#include "engine/nn/module.h"
#include "engine/nn/parameter_cast.h"

namespace tenon {

class Linear final : public Module {
 public:
  Linear(int64_t in_features, int64_t out_features)
      : weight_({out_features, in_features}, DType::f32), bias_({out_features}, DType::f32) {}

  void visit(Visitor& v) override {
    v("weight", weight_);
    v("bias", bias_);
  }
  // x (T, in) -> (T, out), in the element type of x. A frozen weight is cast at the first use in that type,
  // and packed at the first use under Inference.
  Tensor operator()(const Tensor& x, Activation activation = Activation::none);

  // torch's default: uniform within 1 / sqrt(in) for both.
  void init(uint64_t seed, std::string_view name);

 private:
  Tensor weight_, bias_;
  ParameterCast weight_cast_, bias_cast_;
  Tensor packed_;
  std::weak_ptr<Storage> packed_from_;  // the weight's memory at the time of packing
  DType packed_as_ = DType::f32;
};

}  // namespace tenon
