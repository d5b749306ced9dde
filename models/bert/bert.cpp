#include "models/bert/bert.h"

#include <cmath>

#include "engine/autograd.h"
#include "engine/nn/in_layer.h"
#include "engine/precision.h"
#include "engine/random.h"
#include "engine/watch.h"
#include "kernels/elementwise/unary.h"

namespace tenon {

std::optional<Activation> fused_activation(std::string_view name) {
  if (name == "gelu" || name == "gelu_python") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_python_tanh" || name == "gelu_fast")
    return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  return std::nullopt;
}

bool is_bert_activation(std::string_view name) {
  if (fused_activation(name)) return true;
  try {
    unary_kind(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

Dropout BertContext::hidden_dropout(std::string_view path) const {
  if (!training) return {};
  return {config.hidden_dropout_prob, random_key(operation_key(path))};
}

Dropout BertContext::attention_dropout(std::string_view path) const {
  if (!training) return {};
  return {config.attention_probs_dropout_prob, random_key(operation_key(path))};
}

BertEmbeddings::BertEmbeddings(const BertConfig& config)
    : word_embeddings_(config.vocab_size, config.hidden_size),
      position_embeddings_(config.max_position_embeddings, config.hidden_size),
      token_type_embeddings_(config.type_vocab_size, config.hidden_size),
      layer_norm_(config.hidden_size, config.layer_norm_eps) {}

void BertEmbeddings::visit(Visitor& v) {
  v("word_embeddings", word_embeddings_);
  v("position_embeddings", position_embeddings_);
  v("token_type_embeddings", token_type_embeddings_);
  v("LayerNorm", layer_norm_);
}

Tensor BertEmbeddings::operator()(const BertContext& context) {
  const InLayer layer(*this);
  const PackedBatch& batch = context.batch;
  const DType type = word_embeddings_.weight.dtype();
  const Tensor x = embedding(batch.input_ids, batch.positions, {}, word_embeddings_.weight,
                             position_embeddings_.weight, token_type_embeddings_.weight,
                             layer_norm_.weight(type), layer_norm_.bias(type), layer_norm_.eps());
  const Tensor normalised = to_activation_type(watched("bert.embeddings", ".LayerNorm", x));
  return watched("bert.embeddings", "",
                 dropout(normalised, batch.row_keys, context.hidden_dropout("bert.embeddings.dropout")));
}

BertLayer::BertLayer(const BertConfig& c, int index)
    : path_(str("bert.encoder.layer.", index)),
      query_(c.hidden_size, c.hidden_size),
      key_(c.hidden_size, c.hidden_size),
      value_(c.hidden_size, c.hidden_size),
      attention_output_(c.hidden_size, c.hidden_size),
      attention_norm_(c.hidden_size, c.layer_norm_eps),
      intermediate_(c.hidden_size, c.intermediate_size),
      output_(c.intermediate_size, c.hidden_size),
      output_norm_(c.hidden_size, c.layer_norm_eps) {}

void BertLayer::visit(Visitor& v) {
  v("attention.self.query", query_);
  v("attention.self.key", key_);
  v("attention.self.value", value_);
  v("attention.output.dense", attention_output_);
  v("attention.output.LayerNorm", attention_norm_);
  v("intermediate.dense", intermediate_);
  v("output.dense", output_);
  v("output.LayerNorm", output_norm_);
}

Tensor BertLayer::operator()(const Tensor& x, const BertContext& context) {
  const InLayer layer(*this);
  return feed_forward(attend(x, context), context);
}

Tensor BertLayer::attend(const Tensor& x, const BertContext& context) {
  const auto heads = static_cast<int>(context.config.num_attention_heads);
  const double scale = 1 / std::sqrt(static_cast<double>(context.config.hidden_size / heads));
  const Tensor mixed = watched(
      path_, ".attention.self",
      attention(watched(path_, ".attention.self.query", query_(x)),
                watched(path_, ".attention.self.key", key_(x)),
                watched(path_, ".attention.self.value", value_(x)), context.batch.cu_seqlens, heads,
                context.batch.max_seqlen, scale, context.attention_dropout(path_ + ".attention.self.dropout"),
                context.batch.first_sequence));
  return watched(
      path_, ".attention.output.LayerNorm",
      dropout_residual_layer_norm(watched(path_, ".attention.output.dense", attention_output_(mixed)), x,
                                  attention_norm_.weight(x.dtype()), attention_norm_.bias(x.dtype()),
                                  attention_norm_.eps(), context.batch.row_keys,
                                  context.hidden_dropout(path_ + ".attention.output.dropout")));
}

Tensor BertLayer::feed_forward(const Tensor& x, const BertContext& context) {
  const auto fused = fused_activation(context.config.hidden_act);
  Tensor wide = intermediate_(x, fused.value_or(Activation::none));
  if (!fused) wide = activation(wide, context.config.hidden_act);
  wide = watched(path_, ".intermediate", wide);
  return watched(path_, ".output.LayerNorm",
                 dropout_residual_layer_norm(watched(path_, ".output.dense", output_(wide)), x,
                                             output_norm_.weight(x.dtype()), output_norm_.bias(x.dtype()),
                                             output_norm_.eps(), context.batch.row_keys,
                                             context.hidden_dropout(path_ + ".output.dropout")));
}

Bert::Bert(const BertConfig& config, bool with_pooler) : config_(config), embeddings_(config_) {
  for (int i = 0; i < config_.num_hidden_layers; ++i)
    layers_.push_back(std::make_unique<BertLayer>(config_, i));
  if (with_pooler) pooler_ = std::make_unique<Linear>(config_.hidden_size, config_.hidden_size);
}

void Bert::visit(Visitor& v) {
  v("embeddings", embeddings_);
  for (size_t i = 0; i < layers_.size(); ++i) v(str("encoder.layer.", i), *layers_[i]);
  if (pooler_) v("pooler.dense", *pooler_);
}

void Bert::check_batch(const PackedBatch& batch) const {
  check(batch.max_seqlen <= config_.max_position_embeddings, "a sequence of ", batch.max_seqlen,
        " tokens is longer than the model's ", config_.max_position_embeddings,
        " positions; lower --max-length");
}

Tensor Bert::operator()(const PackedBatch& batch) {
  check_batch(batch);
  const BertContext context{config_, batch, training()};
  Tensor x = embeddings_(context);
  for (const auto& layer : layers_) x = (*layer)(x, context);
  return x;
}

std::vector<Tensor> Bert::hidden_states(const PackedBatch& batch) {
  check_batch(batch);
  const BertContext context{config_, batch, training()};
  std::vector<Tensor> states{embeddings_(context)};
  for (const auto& layer : layers_) states.push_back((*layer)(states.back(), context));
  return states;
}

Tensor Bert::pooled(const Tensor& last_hidden_state, const PackedBatch& batch) {
  check(pooler_ != nullptr, "this BERT was saved without a pooler; use its hidden states");
  const Tensor first_rows = batch.cu_seqlens.rows(0, batch.sequences);
  return (*pooler_)(gather_rows(last_hidden_state, first_rows), Activation::tanh);
}

void Bert::init(uint64_t seed) {
  for (const auto& [name, parameter] : named_parameters(*this, "bert.")) {
    if (name.find("LayerNorm") != name.npos) continue;  // ones and zeros already
    if (name.ends_with(".bias"))
      parameter->zero();
    else
      init_normal(*parameter, config_.initializer_range, seed, name);
  }
}

}  // namespace tenon
