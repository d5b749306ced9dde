// BERT's BasicTokenizer: cleans, lower-cases and strips accents, then cuts at whitespace and punctuation. The
// same as HuggingFace's BertNormalizer followed by BertPreTokenizer.
#pragma once
#include <string>
#include <string_view>

namespace tenon {

struct BasicTokenizer {
  bool clean_text = true;            // drops control characters, makes all whitespace a space
  bool handle_chinese_chars = true;  // every ideograph is a word
  bool strip_accents = true;         // canonical decomposition without its nonspacing marks
  bool lowercase = true;

  // text is UTF-8, valid or not (see decode_utf8).
  std::u32string normalize(std::string_view text) const;
};

// Takes the next word off the front of `text`: a run without whitespace or punctuation, or one punctuation
// character. Empty once there is none.
std::u32string_view next_word(std::u32string_view& text);

}  // namespace tenon
