// A text is cut at ASCII whitespace and punctuation first. What lies between are chunks, which no rule of
// BERT's normaliser reaches across, so that the ids of each can be remembered by its raw bytes, before any
// normalisation.
#include "models/text/wordpiece.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "models/text/ascii_words.h"
#include "models/text/unicode.h"

namespace tenon {
namespace {

using namespace ascii;

class Fnv {  // FNV-1a, 64 bits
 public:
  void add(std::string_view bytes) {
    for (char byte : bytes) value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001B3ull;
    value_ = (value_ ^ 0xFF) * 0x100000001B3ull;  // a byte UTF-8 never has, as separator
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325ull;
};

std::string to_utf8(std::u32string_view codes) {
  std::string text;
  text.reserve(codes.size());
  for (char32_t code : codes) append_utf8(text, code);
  return text;
}

std::vector<std::string> tokens_by_id(const WordPieceConfig& config) {
  std::vector<std::string> tokens;
  const auto put = [&](const std::string& token, int32_t id) {
    check(id >= 0 && id < (1 << 24), config.source, ": the id ", id, " of token '", token,
          "' is out of range");
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    tokens[static_cast<size_t>(id)] = token;
  };
  for (const auto& [token, id] : config.vocabulary) put(token, id);
  for (const AddedToken& token : config.added) put(token.content, token.id);
  return tokens;
}

std::vector<AddedToken> added_tokens(const WordPieceConfig& config, bool normalized) {
  std::vector<AddedToken> chosen;
  for (AddedToken token : config.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.content = to_utf8(config.basic.normalize(token.content));
    chosen.push_back(std::move(token));
  }
  return chosen;
}

}  // namespace

struct WordPiece::Output {
  std::vector<int32_t> ids;
  size_t count = 0;  // of the ids, those that are set
  size_t wanted;     // no more than these are looked at
  Cache* cache;

  bool full() const { return count >= wanted; }
  int32_t* room(size_t more) {
    if (count + more > ids.size()) ids.resize(2 * (count + more));
    return ids.data() + count;
  }
  void push(int32_t id) {
    *room(1) = id;
    ++count;
  }
  void push(const Cache::Entry& entry) {
    std::copy_n(entry.ids.begin(), Cache::max_ids,
                room(Cache::max_ids));  // all of them: their number is no branch
    count += entry.count;
  }
};

WordPiece::WordPiece(const WordPieceConfig& config)
    : basic_(config.basic),
      tokens_(tokens_by_id(config)),
      pieces_(config.vocabulary, config.prefix),
      raw_added_(added_tokens(config, false)),
      normalized_added_(added_tokens(config, true)),
      max_word_length_(config.max_word_length) {
  unk_ = pieces_.find(config.unk);
  check(unk_ >= 0, config.source, ": the vocabulary has no ", config.unk,
        " token; WordPiece needs it for unknown words");
  cls_ = special(config, config.cls);
  sep_ = special(config, config.sep);
  pad_ = special(config, config.pad);
  for (size_t c = 0; c < punctuation_ids_.size(); ++c) {
    const int32_t id = pieces_.find(std::string(1, static_cast<char>(c)));
    punctuation_ids_[c] = id >= 0 ? id : unk_;
  }
  hash_ = compute_hash(config);
}

int32_t WordPiece::special(const WordPieceConfig& config, const std::string& token) const {
  for (const AddedToken& added : config.added)
    if (added.content == token) return added.id;
  const int32_t id = pieces_.find(token);
  check(id >= 0, config.source, ": the vocabulary has no ", token, " token; a BERT tokeniser needs it");
  return id;
}

uint64_t WordPiece::compute_hash(const WordPieceConfig& config) const {
  Fnv fnv;
  fnv.add(str(basic_.clean_text, basic_.handle_chinese_chars, basic_.strip_accents, basic_.lowercase, ' ',
              max_word_length_));
  for (const auto* name : {&config.unk, &config.cls, &config.sep, &config.pad, &config.prefix})
    fnv.add(*name);
  for (const std::string& token : tokens_) fnv.add(token);
  for (const AddedToken& token : config.added)
    fnv.add(str(token.content, token.id, token.single_word, token.lstrip, token.rstrip, token.normalized));
  return fnv.value();
}

const std::string& WordPiece::token(int32_t id) const {
  check(id >= 0 && id < size(), "the token id ", id, " is outside the vocabulary of ", size(), " words");
  return tokens_[static_cast<size_t>(id)];
}

std::vector<int32_t> WordPiece::encode(std::string_view text, int max_length, Cache* cache) const {
  check(max_length == 0 || max_length >= 2, "max_length ", max_length,
        " leaves no room for [CLS] and [SEP]; give 2 or more");
  const size_t longest = max_length == 0 ? SIZE_MAX : static_cast<size_t>(max_length);
  Output output{std::vector<int32_t>(std::min(text.size() / 3 + 16, longest + 16)), 0, longest - 1, cache};
  output.push(cls_);
  append_text(text, output);
  output.count = std::min(output.count, longest - 1);
  output.push(sep_);
  output.ids.resize(output.count);
  return std::move(output.ids);
}

std::vector<int32_t> WordPiece::tokenize(std::string_view text, Cache* cache) const {
  Output output{std::vector<int32_t>(text.size() / 3 + 16), 0, SIZE_MAX, cache};
  append_text(text, output);
  output.ids.resize(output.count);
  return std::move(output.ids);
}

void WordPiece::append_text(std::string_view text, Output& output) const {
  if (output.cache) output.cache->attach(hash_);
  for (size_t from = 0; from < text.size() && !output.full();) {
    const auto added = raw_added_.next(text, from);
    const auto before = text.substr(from, added.begin - from);
    if (normalized_added_.empty())
      append_plain(before, output);
    else
      append_normalized(before, output);
    if (added.id >= 0) output.push(added.id);
    from = added.end;
  }
}

void WordPiece::append_plain(std::string_view text, Output& output) const {
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next < end && !output.full()) {
    if (output.cache && end - next > static_cast<ptrdiff_t>(Cache::max_bytes)) {  // most words end here
      const Cache::Key key = short_word(next);
      const char* const after = next + key.length;
      const Cache::Entry* known =
          key.length > 0 && kind_of(*after) != other ? output.cache->find(key) : nullptr;
      if (known) {
        output.push(*known);
        next = after + (*after == ' ');
        continue;
      }
    }
    const Kind kind = kind_of(*next);
    if (kind == space) {
      ++next;
    } else if (kind == punctuation) {
      output.push(punctuation_ids_[static_cast<size_t>(*next++)]);
    } else {
      const char* const begin = next;
      uint8_t seen = 0;
      for (Kind k; next < end && (k = kind_of(*next)) <= other; ++next) seen |= k;
      append_chunk({begin, static_cast<size_t>(next - begin)}, seen == letter, output);
    }
  }
}

void WordPiece::append_chunk(std::string_view chunk, bool letters, Output& output) const {
  if (!output.cache || chunk.size() > Cache::max_bytes) return append_new_chunk(chunk, letters, output);
  const Cache::Key key(chunk);
  if (const Cache::Entry* known = output.cache->find(key)) return output.push(*known);
  const size_t before = output.count;
  append_new_chunk(chunk, letters, output);
  const size_t count = output.count - before;
  if (count > Cache::max_ids) return;
  Cache::Entry& entry = output.cache->insert(key);
  std::copy_n(output.ids.data() + before, count, entry.ids.begin());
  entry.count = static_cast<uint16_t>(count);
}

void WordPiece::append_new_chunk(std::string_view chunk, bool letters, Output& output) const {
  if (!letters) return append_normalized(chunk, output);
  std::string word(chunk);
  if (basic_.lowercase)
    for (char& c : word)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  append_word(word, word.size(), output);
}

void WordPiece::append_normalized(std::string_view text, Output& output) const {
  const std::u32string codes = basic_.normalize(text);
  const auto append_words = [&](std::u32string_view rest) {
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest))
      append_word(to_utf8(word), word.size(), output);
  };
  if (normalized_added_.empty()) return append_words(codes);

  const std::string normalized = to_utf8(codes);
  for (size_t from = 0; from < normalized.size();) {
    const auto added = normalized_added_.next(normalized, from);
    std::u32string between;
    const char* next = normalized.data() + from;
    for (const char* const end = normalized.data() + added.begin; next < end;)
      between += decode_utf8(next, end);
    append_words(between);
    if (added.id >= 0) output.push(added.id);
    from = added.end;
  }
}

void WordPiece::append_word(std::string_view word, size_t code_points, Output& output) const {
  const size_t before = output.count;
  bool known = code_points <= static_cast<size_t>(max_word_length_);
  for (size_t at = 0; known && at < word.size();) {
    const auto piece = pieces_.longest(word.substr(at), at > 0);
    known = piece.id >= 0;
    if (known) output.push(piece.id);
    at += piece.length;
  }
  if (known) return;
  output.count = before;
  output.push(unk_);
}

}  // namespace tenon
