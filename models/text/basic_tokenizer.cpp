#include "models/text/basic_tokenizer.h"

#include <algorithm>

#include "models/text/unicode.h"

namespace tenon {
namespace {

std::u32string decode_cleanly(std::string_view text, bool clean) {
  std::u32string codes;
  codes.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* next = text.data(); next < end;) {
    const char32_t code = decode_utf8(next, end);
    if (!clean)
      codes += code;
    else if (code != 0xFFFD && !is_control(code))
      codes += is_whitespace(code) ? U' ' : code;
  }
  return codes;
}

std::u32string space_around_chinese(const std::u32string& codes) {
  std::u32string spaced;
  spaced.reserve(codes.size());
  for (char32_t code : codes) {
    if (is_chinese(code))
      spaced += {U' ', code, U' '};
    else
      spaced += code;
  }
  return spaced;
}

std::u32string without_accents(const std::u32string& codes) {
  std::u32string decomposed;
  decomposed.reserve(codes.size());
  for (char32_t code : codes) append_decomposed(decomposed, code);

  const auto by_class = [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); };
  for (auto begin = decomposed.begin(); begin != decomposed.end();) {  // canonical order of each run of marks
    const auto end =
        std::find_if(begin, decomposed.end(), [](char32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, by_class);
    begin = end == decomposed.end() ? end : end + 1;
  }
  std::erase_if(decomposed, is_nonspacing_mark);
  return decomposed;
}

}  // namespace

std::u32string BasicTokenizer::normalize(std::string_view text) const {
  std::u32string codes = decode_cleanly(text, clean_text);
  if (handle_chinese_chars) codes = space_around_chinese(codes);
  if (strip_accents) codes = without_accents(codes);
  if (!lowercase) return codes;
  std::u32string lowered;
  lowered.reserve(codes.size());
  for (char32_t code : codes) append_lowercase(lowered, code);
  return lowered;
}

std::u32string_view next_word(std::u32string_view& text) {
  size_t begin = 0;
  while (begin < text.size() && is_whitespace(text[begin])) ++begin;
  size_t end = begin;
  while (end < text.size() && !is_whitespace(text[end]) && !is_punctuation(text[end])) ++end;
  if (end == begin && end < text.size()) ++end;  // punctuation stands alone
  const auto word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

}  // namespace tenon
