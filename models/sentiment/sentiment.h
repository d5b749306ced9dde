// The published sentiment model: an encoder, a GRU over its hidden states, and one number from the last
// states of both directions. Tensors are named as in the published nn.Module: bert.*, rnn.*, out.*.
#pragma once
#include <memory>

#include "engine/nn/gru.h"
#include "engine/nn/linear.h"
#include "models/encoder.h"

namespace tenon {

struct SentimentConfig {
  int64_t hidden_size = 256;
  int num_layers = 2;
  bool bidirectional = true;
  double dropout = 0.25;  // between the GRU's layers, and on what goes into the last linear map
};

class SentimentModel final : public Module {
 public:
  SentimentModel(std::unique_ptr<Encoder> encoder, const SentimentConfig& config);

  void visit(Visitor& v) override;
  Encoder& encoder() { return *encoder_; }
  const SentimentConfig& config() const { return config_; }

  // The head alone: features (T, H) to logits (B); the probability of the positive class is their sigmoid.
  Tensor head(const Tensor& features, const PackedBatch& batch);
  Tensor operator()(const PackedBatch& batch) { return head((*encoder_)(batch), batch); }

  void init_head(uint64_t seed);

 private:
  std::unique_ptr<Encoder> encoder_;
  SentimentConfig config_;
  Gru rnn_;
  Linear out_;
};

}  // namespace tenon
