// BERT behind the Encoder interface, and the choice of a model by its config.json.
#include "models/encoder.h"

#include "engine/io/load.h"
#include "models/bert/bert.h"
#include "models/text/wordpiece.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

class WordPieceTokenizer final : public Tokenizer {
 public:
  explicit WordPieceTokenizer(const fs::path& folder) : pieces_(WordPiece::load(folder)) {}

  std::vector<int32_t> encode(std::string_view text, int max_length) const override {
    thread_local WordPiece::Cache cache;
    return pieces_.encode(text, max_length, &cache);
  }
  std::string token(int32_t id) const override { return pieces_.token(id); }
  int32_t pad_id() const override { return pieces_.pad_id(); }
  int64_t vocabulary_size() const override { return pieces_.size(); }
  uint64_t hash() const override { return pieces_.hash(); }

 private:
  WordPiece pieces_;
};

class BertEncoder final : public Encoder {
 public:
  explicit BertEncoder(const fs::path& folder)
      : folder_(folder), bert_(BertConfig::read(folder / "config.json")), tokenizer_(folder) {
    check(tokenizer_.vocabulary_size() <= bert_.config().vocab_size, folder.string(), ": the vocabulary has ",
          tokenizer_.vocabulary_size(), " entries, but config.json says vocab_size ",
          bert_.config().vocab_size);
  }

  void visit(Visitor& v) override { bert_.visit(v); }
  Tensor operator()(const PackedBatch& batch) override { return ready()(batch); }
  std::vector<Tensor> hidden_states(const PackedBatch& batch) override {
    return ready().hidden_states(batch);
  }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  int64_t hidden_size() const override { return bert_.config().hidden_size; }
  int max_length() const override { return static_cast<int>(bert_.config().max_position_embeddings); }
  int special_tokens() const override { return 2; }
  std::string_view name() const override { return "bert"; }
  bool shapes_hidden_states(std::string_view parameter) const override {
    return !parameter.starts_with("pooler.");
  }
  std::vector<fs::path> companion_files() const override {
    std::vector<fs::path> files;
    for (const char* file : {"config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json"})
      if (fs::exists(folder_ / file)) files.push_back(folder_ / file);
    return files;
  }

  const std::vector<std::string>& unexpected_tensors() const override { return unexpected_; }

  // Some checkpoints come without a pooler, which no part of the sentiment model uses.
  void keep_pooler_if_in(const TensorFile& file) {
    if (!file.find("pooler.dense.weight") && !file.find("bert.pooler.dense.weight")) bert_.drop_pooler();
  }

  void load_weights() {
    const TensorFile file = open_tensor_file(weights_file().string());
    keep_pooler_if_in(file);
    unexpected_ = load_parameters(named_parameters(*this), file, "bert.", {"pooler."}).unexpected;
  }

 private:
  // The wrapped module is not a child by name, so it is told of training here.
  Bert& ready() {
    if (bert_.training() != training()) bert_.set_training(training());
    return bert_;
  }

  fs::path weights_file() const {
    for (const char* name : {"model.safetensors", "pytorch_model.bin"})
      if (fs::exists(folder_ / name)) return folder_ / name;
    fail(folder_.string(),
         " holds neither model.safetensors nor pytorch_model.bin; copy the model's weights there");
  }

  fs::path folder_;
  Bert bert_;
  WordPieceTokenizer tokenizer_;
  std::vector<std::string> unexpected_;
};

std::unique_ptr<BertEncoder> open(const fs::path& folder) {
  check(fs::is_directory(folder), folder.string(),
        " is not a folder; give the folder of a HuggingFace model");
  check(fs::exists(folder / "config.json"), folder.string(),
        " holds no config.json; give the folder of a HuggingFace model");
  return std::make_unique<BertEncoder>(folder);
}

}  // namespace

std::unique_ptr<Encoder> load_encoder(const fs::path& folder) {
  auto encoder = open(folder);
  encoder->load_weights();
  return encoder;
}

std::unique_ptr<Encoder> make_encoder(const fs::path& folder, const TensorFile& weights) {
  auto encoder = open(folder);
  encoder->keep_pooler_if_in(weights);
  return encoder;
}

}  // namespace tenon
