// The operations of the engine: each checks shapes, runs a kernel and records its vjp. Tensors are
// contiguous; a batch is packed: T rows, cu_seqlens (B + 1) i32. Errors name the operation and the shapes.
#pragma once
#include <string_view>
#include <vector>

#include "engine/tensor.h"
#include "kernels/base/philox.h"

namespace tenon {

// engine/ops/linear.cpp
enum class Activation : uint8_t { none, gelu, gelu_tanh, relu, tanh };
// y (T, N) = activation(x (T, K) · weight (N, K)ᵀ + bias (N)), as torch.nn.Linear. `packed` is
// pack_weight(weight) or undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              Activation activation = Activation::none, const Tensor& packed = {});
Tensor pack_weight(const Tensor& weight);  // f32 or bf16; u8, in the layout that the product reads fastest
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

// engine/ops/attention.cpp: q, k, v (T, heads * head_dim); every row attends to all rows of its sequence.
// first_sequence numbers the batch's sequences within an optimiser step, for the dropout's mask.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_seqlens, int num_heads,
                 int max_seqlen, double scale, const Dropout& dropout = {}, int64_t first_sequence = 0);

// engine/ops/normalization.cpp
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps);
// layer_norm(residual + dropout(x)); row_keys (T) i64 may be undefined while the dropout is inactive.
Tensor dropout_residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                   const Tensor& beta, double eps, const Tensor& row_keys = {},
                                   const Dropout& dropout = {});
// layer_norm(word[ids] + position[positions] + token_type[token_types]); token_types may be undefined: all 0.
Tensor embedding(const Tensor& ids, const Tensor& positions, const Tensor& token_types, const Tensor& word,
                 const Tensor& position, const Tensor& token_type, const Tensor& gamma, const Tensor& beta,
                 double eps);

// engine/ops/elementwise.cpp
Tensor gelu(const Tensor& x, bool tanh_form = false);
Tensor activation(const Tensor& x, std::string_view huggingface_name);  // by the name in a BertConfig
Tensor softmax(const Tensor& x);                                        // over the last dimension
Tensor dropout(const Tensor& x, const Tensor& row_keys,
               const Dropout& dropout);  // x (T, C), row_keys (T) i64
Tensor add(const Tensor& a, const Tensor& b);
Tensor subtract(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, double factor);
Tensor sum(const Tensor& x);   // (1)
Tensor mean(const Tensor& x);  // (1)
Tensor cast(const Tensor& x, DType dtype);

// engine/ops/shape.cpp
Tensor reshape(const Tensor& x, Shape shape);
Tensor slice_rows(const Tensor& x, int64_t begin, int64_t end);
Tensor gather_rows(const Tensor& x, const Tensor& index);  // x (T, H), index (M) i32: (M, H)
Tensor concat_columns(const Tensor& a, const Tensor& b);   // (M, A), (M, B): (M, A + B)

// engine/ops/gru.cpp: one layer of torch.nn.GRU with zero initial state; weights per direction.
struct GruWeights {
  Tensor weight_ih, weight_hh;  // (3H, I), (3H, H): gates r, z, n
  Tensor bias_ih, bias_hh;      // (3H), or undefined
};
struct GruOutput {
  Tensor y;    // (T, D * H)
  Tensor h_n;  // (D, B, H): the state after each direction's last step
};
GruOutput gru_sequence(const Tensor& x, const Tensor& cu_seqlens, int max_seqlen,
                       const std::vector<GruWeights>& directions);

// engine/ops/loss.cpp: means over the batch, (1).
Tensor bce_with_logits(const Tensor& logits, const Tensor& labels);  // (B), (B) in [0, 1]
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);    // (B, C), (B) i32

}  // namespace tenon
