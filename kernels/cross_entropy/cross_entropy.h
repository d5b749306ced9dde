// Cross entropy of logits against class indices (torch.nn.CrossEntropyLoss, reduction "mean"), forward and
// backward:  loss = mean of log(sum exp(z)) - z[label],   slope = (softmax(z) - onehot(label)) / B
// The forward leaves the slopes, which share their exponentials with the loss; the backward only scales them.
// A label outside [0, C) throws; on a GPU when the host next waits for the device
// (kernels/base/index_fault.h).
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct CrossEntropy {
  static constexpr std::string_view name = "cross_entropy";
  static constexpr std::string_view backward = "cross_entropy_backward";

  struct Args {
    TensorView logits;       // (B, C), B >= 1
    TensorView labels;       // (B) i32
    TensorView loss;         // (1)
    TensorView slopes = {};  // (B, C): d loss / d logits, for the backward; absent in inference
  };

  static NamedViews inputs(Args& a) { return {{"logits", &a.logits}, {"labels", &a.labels}}; }
  static NamedViews outputs(Args& a) { return {{"loss", &a.loss}, {"slopes", &a.slopes}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.logits.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  // One number has no neighbours to tell a typical error by: the plain sum may happen to be exact.
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7}; }
};

struct CrossEntropyBackward {
  static constexpr std::string_view name = "cross_entropy_backward";

  struct Args {
    TensorView dloss;    // (1)
    TensorView slopes;   // (B, C), as the forward left them
    TensorView dlogits;  // (B, C): dloss times them
  };

  static NamedViews inputs(Args& a) { return {{"dloss", &a.dloss}, {"slopes", &a.slopes}}; }
  static NamedViews outputs(Args& a) { return {{"dlogits", &a.dlogits}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.slopes.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7}; }
};

}  // namespace tenon
