#include "engine/ops/support.h"
#include "engine/precision.h"
#include "kernels/gru/gru_sequence.h"

namespace tenon {
namespace {

using Views = std::array<TensorView, 2>;

template <class Member>
Views views(const std::vector<GruWeights>& directions, Member member) {
  Views all;
  for (size_t d = 0; d < directions.size(); ++d) all[d] = (directions[d].*member).view();
  return all;
}

std::vector<GruWeights> detached(const std::vector<GruWeights>& directions) {
  const auto detach = [](const Tensor& tensor) { return tensor.defined() ? tensor.detach() : Tensor(); };
  std::vector<GruWeights> copies;
  for (const GruWeights& w : directions)
    copies.push_back({detach(w.weight_ih), detach(w.weight_hh), detach(w.bias_ih), detach(w.bias_hh)});
  return copies;
}

std::vector<GruWeights> gradients_like(const std::vector<GruWeights>& directions) {
  const auto like = [](const Tensor& tensor) { return tensor.defined() ? empty_like(tensor) : Tensor(); };
  std::vector<GruWeights> grads;
  for (const GruWeights& w : directions)
    grads.push_back({like(w.weight_ih), like(w.weight_hh), like(w.bias_ih), like(w.bias_hh)});
  return grads;
}

}  // namespace

GruOutput gru_sequence(const Tensor& x, const Tensor& cu_seqlens, int max_seqlen,
                       const std::vector<GruWeights>& directions) {
  check_matrix("gru_sequence", "x", x);
  const auto count = static_cast<int64_t>(directions.size());
  check(count == 1 || count == 2, "gru_sequence: a layer has 1 or 2 directions, not ", count);
  const int64_t hidden_size = directions[0].weight_hh.size(1), tokens = x.size(0);
  check(directions[0].weight_ih.size(1) == x.size(1), "gru_sequence: x ", x.shape(),
        " does not fit weight_ih ", directions[0].weight_ih.shape());
  std::vector<Tensor> inputs{x};
  for (const GruWeights& w : directions)
    inputs.insert(inputs.end(), {w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh});

  Tensor y({tokens, count * hidden_size}, x.dtype(), x.device());
  Tensor h_n({count, cu_seqlens.size() - 1, hidden_size}, x.dtype(), x.device());
  Tensor gates =
      needs_grad(inputs) ? Tensor({count, tokens, 4 * hidden_size}, x.dtype(), x.device()) : Tensor();
  run<GruSequence>({.x = x.view(),
                    .cu_seqlens = cu_seqlens.view(),
                    .weight_ih = views(directions, &GruWeights::weight_ih),
                    .weight_hh = views(directions, &GruWeights::weight_hh),
                    .bias_ih = views(directions, &GruWeights::bias_ih),
                    .bias_hh = views(directions, &GruWeights::bias_hh),
                    .y = y.view(),
                    .h_n = h_n.view(),
                    .gates = gates.view(),
                    .hidden_size = static_cast<int>(hidden_size),
                    .directions = static_cast<int>(count),
                    .max_seqlen = max_seqlen,
                    .tf32 = precision() == Precision::tf32},
                   stream_of(x));
  const bool needs_dx = needs_grad({x});
  const auto vjp = [=, x = x.detach(), y = y.detach(),
                    weights = detached(directions)](const std::vector<Tensor>& dout) -> std::vector<Tensor> {
    Tensor dx = needs_dx ? empty_like(x) : Tensor();
    const std::vector<GruWeights> grads = gradients_like(weights);
    run<GruSequenceBackward>({.dy = dout[0].view(),
                              .dh_n = dout[1].view(),
                              .x = x.view(),
                              .y = y.view(),
                              .gates = gates.view(),
                              .cu_seqlens = cu_seqlens.view(),
                              .weight_ih = views(weights, &GruWeights::weight_ih),
                              .weight_hh = views(weights, &GruWeights::weight_hh),
                              .dx = dx.view(),
                              .dweight_ih = views(grads, &GruWeights::weight_ih),
                              .dweight_hh = views(grads, &GruWeights::weight_hh),
                              .dbias_ih = views(grads, &GruWeights::bias_ih),
                              .dbias_hh = views(grads, &GruWeights::bias_hh),
                              .hidden_size = static_cast<int>(hidden_size),
                              .directions = static_cast<int>(count),
                              .max_seqlen = max_seqlen,
                              .tf32 = precision() == Precision::tf32},
                             stream_of(x));
    std::vector<Tensor> all{dx};
    for (const GruWeights& g : grads) all.insert(all.end(), {g.weight_ih, g.weight_hh, g.bias_ih, g.bias_hh});
    return all;
  };
  const auto outputs = record("gru_sequence", std::vector<Tensor>{y, h_n}, inputs, vjp);
  return {outputs[0], outputs[1]};
}

}  // namespace tenon
