#include "kernels/attention/attention.h"

#include "engine/ops/support.h"

namespace tenon {

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_seqlens, int num_heads,
                 int max_seqlen, double scale, const Dropout& dropout, int64_t first_sequence) {
  check_matrix("attention", "q", q);
  check_same("attention", q, k);
  check_same("attention", q, v);
  check(q.size(1) % num_heads == 0, "attention: ", q.size(1), " columns do not divide into ", num_heads,
        " heads");
  Tensor out = empty_like(q), lse({num_heads, q.size(0)}, statistics_dtype(q), q.device());
  run<Attention>({.q = q.view(),
                  .k = k.view(),
                  .v = v.view(),
                  .cu_seqlens = cu_seqlens.view(),
                  .out = out.view(),
                  .lse = lse.view(),
                  .num_heads = num_heads,
                  .max_seqlen = max_seqlen,
                  .scale = scale,
                  .dropout = dropout,
                  .first_sequence = first_sequence},
                 stream_of(q));
  return record("attention", out, {q, k, v},
                [=, q = q.detach(), k = k.detach(), v = v.detach(),
                 out = out.detach()](const Tensor& dout) -> std::vector<Tensor> {
                  Tensor dq = empty_like(q), dk = empty_like(q), dv = empty_like(q);
                  run<AttentionBackward>({.dout = dout.view(),
                                          .q = q.view(),
                                          .k = k.view(),
                                          .v = v.view(),
                                          .out = out.view(),
                                          .lse = lse.view(),
                                          .cu_seqlens = cu_seqlens.view(),
                                          .dq = dq.view(),
                                          .dk = dk.view(),
                                          .dv = dv.view(),
                                          .num_heads = num_heads,
                                          .max_seqlen = max_seqlen,
                                          .scale = scale,
                                          .dropout = dropout,
                                          .first_sequence = first_sequence},
                                         stream_of(q));
                  return {dq, dk, dv};
                });
}

}  // namespace tenon
