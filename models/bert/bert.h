// BERT (Devlin et al. 2018) as transformers' BertModel has it, on packed rows, with its parameter names.
#pragma once
#include <optional>

#include "engine/nn/layer_norm.h"
#include "engine/nn/linear.h"
#include "models/bert/config.h"
#include "models/encoder.h"

namespace tenon {

bool is_bert_activation(std::string_view hidden_act);
// Activations that the product applies itself; the others follow it as an operation of their own.
std::optional<Activation> fused_activation(std::string_view hidden_act);

// What every part of the model is given: sizes, and the dropouts of this step, active in training only.
struct BertContext {
  const BertConfig& config;
  const PackedBatch& batch;
  bool training;

  Dropout hidden_dropout(std::string_view path) const;
  Dropout attention_dropout(std::string_view path) const;
};

class BertEmbeddings final : public Module {
 public:
  explicit BertEmbeddings(const BertConfig& config);
  void visit(Visitor& v) override;
  Tensor operator()(const BertContext& context);

 private:
  struct Table final : Module {
    explicit Table(int64_t rows, int64_t columns) : weight({rows, columns}, DType::f32) {}
    void visit(Visitor& v) override { v("weight", weight); }
    Tensor weight;
  };
  Table word_embeddings_, position_embeddings_, token_type_embeddings_;
  LayerNormModule layer_norm_;
};

class BertLayer final : public Module {
 public:
  BertLayer(const BertConfig& config, int index);
  void visit(Visitor& v) override;
  Tensor operator()(const Tensor& x, const BertContext& context);

 private:
  Tensor attend(const Tensor& x, const BertContext& context);
  Tensor feed_forward(const Tensor& x, const BertContext& context);

  std::string path_;  // "bert.encoder.layer.3"
  Linear query_, key_, value_, attention_output_;
  LayerNormModule attention_norm_;
  Linear intermediate_, output_;
  LayerNormModule output_norm_;
};

class Bert final : public Module {
 public:
  explicit Bert(const BertConfig& config, bool with_pooler = true);

  void visit(Visitor& v) override;
  const BertConfig& config() const { return config_; }

  // (T, H): hidden states of the last layer.
  Tensor operator()(const PackedBatch& batch);
  // (T, H) each: the embeddings' output, then every layer's.
  std::vector<Tensor> hidden_states(const PackedBatch& batch);
  // (B, H): tanh of a linear map of each sequence's first row. Throws if the model has no pooler.
  Tensor pooled(const Tensor& last_hidden_state, const PackedBatch& batch);
  void drop_pooler() { pooler_.reset(); }

  // transformers' initialisation: normal with initializer_range, zero biases.
  void init(uint64_t seed);

 private:
  void check_batch(const PackedBatch& batch) const;

  BertConfig config_;
  BertEmbeddings embeddings_;
  std::vector<std::unique_ptr<BertLayer>> layers_;
  std::unique_ptr<Linear> pooler_;
};

}  // namespace tenon
