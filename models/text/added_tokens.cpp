#include "models/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "models/text/unicode.h"

namespace tenon {
namespace {

// Where the last code point of text begins; text is not empty.
size_t last_begin(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length) {
    const char* next = end - length;
    if (decode_utf8(next, end) != 0xFFFD && next == end) return text.size() - length;
  }
  return text.size() - 1;
}

char32_t code_at(std::string_view text, size_t begin) {
  const char* next = text.data() + begin;
  return decode_utf8(next, text.data() + text.size());
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word_character(code_at(text, last_begin(text)));
}

bool starts_with_word(std::string_view text) { return !text.empty() && is_word_character(code_at(text, 0)); }

size_t without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const size_t begin = last_begin(text);
    if (!is_whitespace(code_at(text, begin))) break;
    text = text.substr(0, begin);
  }
  return text.size();
}

size_t leading_space(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* next = text.data(); next < end;) {
    const char* const here = next;
    if (!is_whitespace(decode_utf8(next, end))) return static_cast<size_t>(here - text.data());
  }
  return text.size();
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  const auto longer = [](const auto& a, const auto& b) { return a.content.size() > b.content.size(); };
  std::stable_sort(tokens_.begin(), tokens_.end(), longer);
  for (const AddedToken& token : tokens_) first_bytes_[static_cast<unsigned char>(token.content[0])] = true;
  if (std::count(first_bytes_.begin(), first_bytes_.end(), true) == 1)
    only_first_byte_ = static_cast<unsigned char>(tokens_[0].content[0]);
}

const AddedToken* AddedTokens::at(std::string_view text) const {
  const auto found = std::find_if(tokens_.begin(), tokens_.end(),
                                  [&](const AddedToken& token) { return text.starts_with(token.content); });
  return found == tokens_.end() ? nullptr : &*found;
}

size_t AddedTokens::candidate(std::string_view text, size_t from) const {
  if (tokens_.empty()) return text.size();
  if (only_first_byte_ >= 0)
    return std::min(text.find(static_cast<char>(only_first_byte_), from), text.size());
  while (from < text.size() && !first_bytes_[static_cast<unsigned char>(text[from])]) ++from;
  return from;
}

AddedTokens::Match AddedTokens::next(std::string_view text, size_t from) const {
  for (size_t begin = candidate(text, from); begin < text.size();) {
    const AddedToken* token = at(text.substr(begin));
    const size_t end = begin + (token ? token->content.size() : 1);
    const bool touched = token && token->single_word &&
                         (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)));
    if (token && !touched) {
      const size_t stripped =
          token->lstrip ? from + without_trailing_space(text.substr(from, begin - from)) : begin;
      return {stripped, end + (token->rstrip ? leading_space(text.substr(end)) : 0), token->id};
    }
    begin = candidate(text, end);
  }
  return {text.size(), text.size(), -1};
}

}  // namespace tenon
