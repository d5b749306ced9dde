// BERT's tokeniser: text to the ids of word pieces, exactly as HuggingFace's BertTokenizerFast (`tokenizers`
// 0.23) has it. Devlin et al. 2019 (arXiv:1810.04805); the greedy longest match is WordPiece of Wu et al.
// 2016.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/text/added_tokens.h"
#include "models/text/basic_tokenizer.h"
#include "models/text/vocabulary.h"
#include "models/text/word_cache.h"

namespace tenon {

// What a tokenizer.json or vocab.txt says. Stored truncation and padding are not part of it.
struct WordPieceConfig {
  std::string source = "the vocabulary";  // the file, for error messages
  BasicTokenizer basic;
  std::vector<std::pair<std::string, int32_t>> vocabulary;
  std::vector<AddedToken> added;
  std::string unk = "[UNK]", cls = "[CLS]", sep = "[SEP]", pad = "[PAD]";
  std::string prefix = "##";  // of pieces that continue a word
  int max_word_length = 100;  // a word of more code points is unknown
};

// path: a HuggingFace folder (tokenizer.json, else vocab.txt with the switches of tokenizer_config.json) or
// one of the two files. Throws Error where the file is missing, broken, or of another kind of tokeniser.
WordPieceConfig read_wordpiece_config(const std::filesystem::path& path);

class WordPiece {
 public:
  using Cache = WordCache;

  // Throws Error if the vocabulary lacks one of the four special tokens.
  explicit WordPiece(const WordPieceConfig& config);
  static WordPiece load(const std::filesystem::path& path) { return WordPiece(read_wordpiece_config(path)); }

  // [CLS], the pieces of `text`, [SEP]; at most max_length ids, those two included (0: no limit, else at
  // least 2). text is UTF-8; invalid bytes count as U+FFFD, as after Python's bytes.decode(errors="replace").
  // Any number of threads may encode at once; each gives its own cache, which makes it several times faster.
  std::vector<int32_t> encode(std::string_view text, int max_length = 0, Cache* cache = nullptr) const;
  std::vector<int32_t> tokenize(std::string_view text,
                                Cache* cache = nullptr) const;  // without [CLS] and [SEP]

  int32_t size() const {
    return static_cast<int32_t>(tokens_.size());
  }  // the largest id + 1: the rows an embedding table needs
  const std::string& token(int32_t id) const;
  int32_t unk_id() const { return unk_; }
  int32_t cls_id() const { return cls_; }
  int32_t sep_id() const { return sep_; }
  int32_t pad_id() const { return pad_; }
  uint64_t hash() const { return hash_; }  // of vocabulary and settings, the same on every machine

 private:
  struct Output;  // the ids so far, how many are wanted, the cache

  void append_text(std::string_view text, Output& output) const;
  void append_plain(std::string_view text, Output& output) const;  // holds no added token of the raw text
  void append_chunk(std::string_view chunk, bool letters, Output& output) const;
  void append_new_chunk(std::string_view chunk, bool letters, Output& output) const;
  void append_normalized(std::string_view text, Output& output) const;
  void append_word(std::string_view word, size_t code_points, Output& output) const;
  int32_t special(const WordPieceConfig& config, const std::string& token) const;
  uint64_t compute_hash(const WordPieceConfig& config) const;

  BasicTokenizer basic_;
  std::vector<std::string> tokens_;  // by id, the added ones too
  Vocabulary pieces_;                // what words are cut into
  AddedTokens raw_added_, normalized_added_;
  std::array<int32_t, 128> punctuation_ids_{};
  int max_word_length_;
  int32_t unk_ = 0, cls_ = 0, sep_ = 0, pad_ = 0;
  uint64_t hash_ = 0;
};

}  // namespace tenon
