// Small models with random weights, as folders that look like HuggingFace's, and reviews for them.
#pragma once
#include <fstream>

#include "engine/train/checkpoint.h"
#include "models/bert/bert.h"
#include "models/sentiment/task.h"
#include "tests/tensors.h"

namespace tenon::test {

inline void write_config(const std::filesystem::path& folder, const BertConfig& c) {
  std::ofstream(folder / "config.json")
      << "{\"model_type\": \"bert\", \"vocab_size\": " << c.vocab_size
      << ", \"hidden_size\": " << c.hidden_size << ", \"num_hidden_layers\": " << c.num_hidden_layers
      << ", \"num_attention_heads\": " << c.num_attention_heads
      << ", \"intermediate_size\": " << c.intermediate_size
      << ", \"max_position_embeddings\": " << c.max_position_embeddings << "}";
  std::ofstream vocabulary(folder / "vocab.txt");
  vocabulary << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (char letter = 'a'; letter <= 'z'; ++letter) vocabulary << letter << '\n';
}

inline const BertConfig small_bert{.vocab_size = 60,
                                   .hidden_size = 48,
                                   .num_hidden_layers = 2,
                                   .num_attention_heads = 3,
                                   .intermediate_size = 100,
                                   .max_position_embeddings = 96};

// A folder with an encoder, removed at the end of its scope.
class EncoderFolder {
 public:
  explicit EncoderFolder(uint64_t seed = 5) {
    write_config(folder_.path(), small_bert);
    Bert bert(small_bert);
    bert.init(seed);
    // The usual deviation of 0.02 would leave so few features that nothing is learnt from them.
    for (const auto& [name, parameter] : named_parameters(bert, "bert."))
      if (parameter->shape().rank == 2) init_normal(*parameter, 0.3, seed, name);
    save_tensors(folder_ / "model.safetensors", named_parameters(bert));
  }
  const std::filesystem::path& path() const { return folder_.path(); }
  std::unique_ptr<Encoder> load() const {
    auto encoder = load_encoder(folder_.path());
    encoder->set_training(false);
    return encoder;
  }
  SentimentModel model(DType dtype = DType::f32, uint64_t seed = 9) const {
    SentimentModel made(load(), {.hidden_size = 20});
    made.init_head(seed);
    convert_to(made, dtype);
    made.set_training(false);
    return made;
  }

 private:
  TemporaryFolder folder_;
};

// Sequences of random words, the first lengths.size() of one endless list.
inline Examples random_examples(const std::vector<int64_t>& lengths, uint64_t seed = 3) {
  Examples examples;
  const RandomKey key{seed, 0, 0};
  for (size_t i = 0; i < lengths.size(); ++i) {
    auto& ids = examples.ids.emplace_back();
    for (uint64_t j = 0; j < static_cast<uint64_t>(lengths[i]); ++j)
      ids.push_back(static_cast<int32_t>(5 + key(i << 20 | j) % 50));
    examples.labels.push_back(static_cast<float>(key(i << 20 | 0xfffff) % 2));
  }
  return examples;
}

inline std::vector<int64_t> ragged_lengths(size_t count, uint32_t longest) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < count; ++i) lengths.push_back(1 + RandomKey{4, 0, 0}(i) % longest);
  return lengths;
}

inline std::vector<int64_t> first_indices(int64_t count) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i);
  return indices;
}

}  // namespace tenon::test
