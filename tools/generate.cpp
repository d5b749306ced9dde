// tenon generate: reviews, and an encoder with random weights, for a machine at which no real ones are at
// hand.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "engine/train/checkpoint.h"
#include "models/bert/bert.h"
#include "models/data/corpus.h"
#include "models/text/basic_tokenizer.h"
#include "models/text/unicode.h"
#include "tools/commands.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

struct GenerateReviews {
  int64_t count = 2000;
  uint64_t seed = 1;
  std::string out;

  void run() const {
    check(count >= 1, "--count is ", count, "; it must be 1 or more");
    write_json_lines(out, generate_reviews(count, seed));
    std::printf("wrote %ld generated reviews to %s\n", static_cast<long>(count), out.c_str());
  }
};

std::string to_utf8(std::u32string_view word) {
  std::string text;
  for (char32_t code : word) append_utf8(text, code);
  return text;
}

// BERT's special tokens, every character alone and inside a word, then the most frequent words.
std::vector<std::string> make_vocabulary(const std::vector<Review>& reviews, size_t max_words) {
  std::map<std::string, int64_t> characters, words;
  for (char32_t code = '!'; code <= '~'; ++code) ++characters[to_utf8({&code, 1})];
  for (const Review& review : reviews) {
    const std::u32string text = BasicTokenizer{}.normalize(review.text);
    std::u32string_view rest = text;
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest)) {
      for (const char32_t& code : word) ++characters[to_utf8({&code, 1})];
      if (word.size() > 1) ++words[to_utf8(word)];
    }
  }
  std::vector<std::string> vocabulary{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (const auto& [character, count] : characters) vocabulary.push_back(character);
  for (const auto& [character, count] : characters) vocabulary.push_back("##" + character);
  std::vector<std::pair<std::string, int64_t>> by_count(words.begin(), words.end());
  std::ranges::stable_sort(by_count, std::greater{}, &std::pair<std::string, int64_t>::second);
  by_count.resize(std::min(by_count.size(), max_words));
  for (const auto& [word, count] : by_count) vocabulary.push_back(word);
  return vocabulary;
}

struct GenerateEncoder {
  std::string texts, out;
  int64_t hidden_size = 64, layers = 2, heads = 4;
  size_t words = 10000;
  uint64_t seed = 1;

  void run() const {
    const fs::path folder = out;
    check(!fs::exists(folder) || fs::is_empty(folder), out, " exists already; give --out another folder");
    const Dataset data = read_dataset(texts);
    const std::vector<std::string> vocabulary = make_vocabulary(data.train, words);
    std::string lines;
    for (const std::string& token : vocabulary) lines += token + '\n';

    fs::create_directories(folder);
    write_file_atomically(folder / "vocab.txt", lines);
    write_json(folder / "config.json", {{"model_type", "bert"},
                                        {"vocab_size", vocabulary.size()},
                                        {"hidden_size", hidden_size},
                                        {"num_hidden_layers", layers},
                                        {"num_attention_heads", heads},
                                        {"intermediate_size", 4 * hidden_size},
                                        {"max_position_embeddings", 512}});
    Bert bert(BertConfig::read(folder / "config.json"), /*with_pooler=*/false);
    bert.init(seed);
    save_tensors(folder / "model.safetensors", named_parameters(bert));
    std::printf("wrote an encoder of %ld random weights and %zu words to %s\n",
                static_cast<long>(parameter_count(bert)), vocabulary.size(), out.c_str());
  }
};

void add_reviews(CLI::App& generate) {
  auto command = std::make_shared<GenerateReviews>();
  CLI::App* c = generate.add_subcommand("reviews", "Reviews with negation and contrast, as JSON lines");
  c->add_option("--count", command->count, "How many, half of them positive")->capture_default_str();
  c->add_option("--seed", command->seed, "Seed")->capture_default_str();
  c->add_option("--out", command->out, "The .jsonl file to write")->required();
  c->callback([command] { command->run(); });
}

void add_encoder(CLI::App& generate) {
  auto command = std::make_shared<GenerateEncoder>();
  CLI::App* c =
      generate.add_subcommand("encoder", "A small BERT with random weights, as a HuggingFace folder");
  c->add_option("--texts", command->texts, "Reviews whose words become the vocabulary")->required();
  c->add_option("--words", command->words, "At most so many words, the most frequent")->capture_default_str();
  c->add_option("--hidden-size", command->hidden_size, "Width of the hidden states")->capture_default_str();
  c->add_option("--layers", command->layers, "Layers")->capture_default_str();
  c->add_option("--heads", command->heads, "Attention heads")->capture_default_str();
  c->add_option("--seed", command->seed, "Seed")->capture_default_str();
  c->add_option("--out", command->out, "The folder to write")->required();
  c->callback([command] { command->run(); });
}

}  // namespace

void add_generate(CLI::App& program) {
  CLI::App* c = program.add_subcommand("generate", "Make reviews or an encoder where none are at hand");
  c->require_subcommand(1);
  add_reviews(*c);
  add_encoder(*c);
  c->footer(R"(Examples:
  tenon generate reviews --count 2000 --out reviews.jsonl
  tenon generate encoder --texts reviews.jsonl --out encoder
An encoder with random weights tells words apart but knows no language.)");
}

}  // namespace tenon
