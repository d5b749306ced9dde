// The one small interface between a language model and the head on top of it: packed token ids in, packed
// hidden states out, and what is needed to make the ids from text. The head, the trainer and the tools know
// nothing else of a model.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/tensor_file.h"
#include "engine/nn/module.h"
#include "engine/nn/packed_batch.h"

namespace tenon {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids with the special tokens of one sequence, cut to max_length in all (0: no cut). Thread-safe.
  virtual std::vector<int32_t> encode(std::string_view text, int max_length) const = 0;
  virtual std::string token(int32_t id) const = 0;
  virtual int32_t pad_id() const = 0;
  virtual int64_t vocabulary_size() const = 0;
  virtual uint64_t hash() const = 0;  // of the vocabulary and the settings, for caches
};

class Encoder : public Module {
 public:
  // (T, H): the last layer's hidden states, in the order of the batch's rows.
  virtual Tensor operator()(const PackedBatch& batch) = 0;
  // (T, H) each: the embeddings' output, then every layer's.
  virtual std::vector<Tensor> hidden_states(const PackedBatch& batch) = 0;

  virtual const Tokenizer& tokenizer() const = 0;
  virtual int64_t hidden_size() const = 0;
  virtual int max_length() const = 0;         // tokens, special ones included
  virtual int special_tokens() const = 0;     // added to every sequence
  virtual std::string_view name() const = 0;  // its place in the published model: "bert"
  // Whether the hidden states depend on the parameter; others (BERT's pooler) are kept, but have no gradient.
  virtual bool shapes_hidden_states(std::string_view parameter) const = 0;
  // Tensors of the loaded file that the model has no place for, to be listed once.
  virtual const std::vector<std::string>& unexpected_tensors() const = 0;
  // The files other than weights that a copy of the model needs (configuration, vocabulary).
  virtual std::vector<std::filesystem::path> companion_files() const = 0;
};

// Opens a HuggingFace model folder by the model_type in its config.json. Throws for other types, by name.
std::unique_ptr<Encoder> load_encoder(const std::filesystem::path& folder);
// The same with its weights still to be loaded, by their names in the model, from the file of a saved run.
std::unique_ptr<Encoder> make_encoder(const std::filesystem::path& folder, const TensorFile& weights);

}  // namespace tenon
