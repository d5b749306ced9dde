// Binary cross entropy of logits (torch.nn.BCEWithLogitsLoss, reduction "mean"), forward and backward:
//   loss = mean of max(z, 0) - z label + log(1 + exp(-|z|)),   slope = (sigmoid(z) - label) / B
// No logit overflows it. The forward leaves the slopes, which share their exp with the loss; the backward
// only scales them.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct BceWithLogits {
  static constexpr std::string_view name = "bce_with_logits";
  static constexpr std::string_view backward = "bce_with_logits_backward";

  struct Args {
    TensorView logits, labels;  // (B), B >= 1; labels in [0, 1]
    TensorView loss;            // (1)
    TensorView slopes = {};     // (B): d loss / d logits, for the backward; absent in inference
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

struct BceWithLogitsBackward {
  static constexpr std::string_view name = "bce_with_logits_backward";

  struct Args {
    TensorView dloss;    // (1)
    TensorView slopes;   // (B), as the forward left them
    TensorView dlogits;  // (B): dloss times them
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
