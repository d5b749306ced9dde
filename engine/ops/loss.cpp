#include "engine/ops/support.h"
#include "kernels/bce_with_logits/bce_with_logits.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace tenon {
namespace {

template <class Forward, class Backward>
Tensor loss(std::string_view name, const Tensor& logits, const Tensor& labels) {
  check(labels.size() == logits.size(0), name, ": ", logits.size(0), " logits came with ", labels.size(),
        " labels");
  Tensor value({1}, logits.dtype(), logits.device());
  const Tensor slopes = needs_grad({logits}) ? empty_like(logits) : Tensor();
  run<Forward>(
      {.logits = logits.view(), .labels = labels.view(), .loss = value.view(), .slopes = slopes.view()},
      stream_of(logits));
  return record(name, value, {logits}, [slopes](const Tensor& dloss) -> std::vector<Tensor> {
    Tensor dlogits = empty_like(slopes);
    run<Backward>({.dloss = dloss.view(), .slopes = slopes.view(), .dlogits = dlogits.view()},
                  stream_of(slopes));
    return {dlogits};
  });
}

}  // namespace

Tensor bce_with_logits(const Tensor& logits, const Tensor& labels) {
  return loss<BceWithLogits, BceWithLogitsBackward>("bce_with_logits", logits, labels);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  return loss<CrossEntropy, CrossEntropyBackward>("cross_entropy", logits, labels);
}

}  // namespace tenon
