// transformers' BertConfig, as config.json has it.
#pragma once
#include <filesystem>
#include <string>

namespace tenon {

struct BertConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  std::string hidden_act = "gelu";
  double layer_norm_eps = 1e-12;
  double hidden_dropout_prob = 0.1;
  double attention_probs_dropout_prob = 0.1;
  double initializer_range = 0.02;

  // Throws, naming the file and the entry, for broken JSON, another model type, relative positions, sizes
  // below 1, heads that do not divide the hidden size, or an unknown activation.
  static BertConfig read(const std::filesystem::path& file);
};

}  // namespace tenon
