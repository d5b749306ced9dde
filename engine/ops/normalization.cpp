#include "engine/ops/support.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/embedding/embedding.h"
#include "kernels/layer_norm/layer_norm.h"

namespace tenon {

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  check_matrix("layer_norm", "x", x);
  check_vector("layer_norm", "gamma", gamma, x.size(1));
  check_vector("layer_norm", "beta", beta, x.size(1));
  Tensor y = empty_like(x);
  Tensor mean({x.size(0)}, statistics_dtype(x), x.device()), rstd = empty_like(mean);
  run<LayerNorm>({x.view(), gamma.view(), beta.view(), y.view(), mean.view(), rstd.view(), eps},
                 stream_of(x));
  return record(
      "layer_norm", y, {x, gamma, beta},
      [x = x.detach(), gamma = gamma.detach(), mean, rstd](const Tensor& dy) -> std::vector<Tensor> {
        Tensor dx = empty_like(x), dgamma = empty_like(gamma), dbeta = empty_like(gamma);
        run<LayerNormBackward>({dy.view(), x.view(), gamma.view(), mean.view(), rstd.view(), dx.view(),
                                dgamma.view(), dbeta.view()},
                               stream_of(x));
        return {dx, dgamma, dbeta};
      });
}

Tensor dropout_residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                   const Tensor& beta, double eps, const Tensor& row_keys,
                                   const Dropout& dropout) {
  constexpr std::string_view name = "dropout_residual_layer_norm";
  check_matrix(name, "x", x);
  check_same(name, x, residual);
  check_vector(name, "gamma", gamma, x.size(1));
  check_vector(name, "beta", beta, x.size(1));
  check(!dropout.active() || row_keys.defined(), name, ": an active dropout needs row_keys");
  const bool keep = needs_grad({x, residual, gamma, beta});
  Tensor y = empty_like(x), sum = keep ? empty_like(x) : Tensor();
  Tensor mean({x.size(0)}, statistics_dtype(x), x.device()), rstd = empty_like(mean);
  run<DropoutResidualLayerNorm>({.x = x.view(),
                                 .residual = residual.view(),
                                 .gamma = gamma.view(),
                                 .beta = beta.view(),
                                 .row_keys = row_keys.view(),
                                 .y = y.view(),
                                 .sum = sum.view(),
                                 .mean = mean.view(),
                                 .rstd = rstd.view(),
                                 .eps = eps,
                                 .dropout = dropout},
                                stream_of(x));
  return record(
      name, y, {x, residual, gamma, beta},
      [sum, gamma = gamma.detach(), mean, rstd, row_keys, dropout](const Tensor& dy) -> std::vector<Tensor> {
        Tensor dx = empty_like(sum), dresidual = empty_like(sum);
        Tensor dgamma = empty_like(gamma), dbeta = empty_like(gamma);
        run<DropoutResidualLayerNormBackward>({.dy = dy.view(),
                                               .sum = sum.view(),
                                               .gamma = gamma.view(),
                                               .mean = mean.view(),
                                               .rstd = rstd.view(),
                                               .row_keys = row_keys.view(),
                                               .dx = dx.view(),
                                               .dresidual = dresidual.view(),
                                               .dgamma = dgamma.view(),
                                               .dbeta = dbeta.view(),
                                               .dropout = dropout},
                                              stream_of(dy));
        return {dx, dresidual, dgamma, dbeta};
      });
}

Tensor embedding(const Tensor& ids, const Tensor& positions, const Tensor& token_types, const Tensor& word,
                 const Tensor& position, const Tensor& token_type, const Tensor& gamma, const Tensor& beta,
                 double eps) {
  const int64_t tokens = ids.size(), hidden_size = word.size(1);
  check(positions.size() == tokens, "embedding: ", tokens, " ids came with ", positions.size(), " positions");
  const bool keep = needs_grad({word, position, token_type, gamma, beta});
  Tensor y({tokens, hidden_size}, word.dtype(), word.device()), sum = keep ? empty_like(y) : Tensor();
  Tensor mean({tokens}, statistics_dtype(word), word.device()), rstd = empty_like(mean);
  run<Embedding>({.ids = ids.view(),
                  .positions = positions.view(),
                  .token_types = token_types.view(),
                  .word = word.view(),
                  .position = position.view(),
                  .token_type = token_type.view(),
                  .gamma = gamma.view(),
                  .beta = beta.view(),
                  .y = y.view(),
                  .sum = sum.view(),
                  .mean = mean.view(),
                  .rstd = rstd.view(),
                  .eps = eps},
                 stream_of(word));
  return record("embedding", y, {word, position, token_type, gamma, beta},
                [=, gamma = gamma.detach(), word_shape = word.shape(), position_shape = position.shape(),
                 type_shape = token_type.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dword(word_shape, dy.dtype(), dy.device());
                  Tensor dposition(position_shape, dy.dtype(), dy.device());
                  Tensor dtype(type_shape, dy.dtype(), dy.device());
                  Tensor dgamma = empty_like(gamma), dbeta = empty_like(gamma);
                  run<EmbeddingBackward>({.dy = dy.view(),
                                          .ids = ids.view(),
                                          .positions = positions.view(),
                                          .token_types = token_types.view(),
                                          .sum = sum.view(),
                                          .gamma = gamma.view(),
                                          .mean = mean.view(),
                                          .rstd = rstd.view(),
                                          .dword = dword.view(),
                                          .dposition = dposition.view(),
                                          .dtoken_type = dtype.view(),
                                          .dgamma = dgamma.view(),
                                          .dbeta = dbeta.view()},
                                         stream_of(dy));
                  return {dword, dposition, dtype, dgamma, dbeta};
                });
}

}  // namespace tenon
