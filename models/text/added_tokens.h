// Tokens that are cut out of a text before anything else looks at it, such as [MASK]: the "added tokens" of
// HuggingFace `tokenizers`, with their flags.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  // only where no letter or digit touches it
  bool lstrip = false;       // takes the whitespace before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // looked for in the normalised text, not in the raw one
};

class AddedTokens {
 public:
  struct Match {
    size_t begin, end;  // bytes of the text
    int32_t id;         // -1: none is left
  };

  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);  // where several match, the longest wins

  bool empty() const { return tokens_.empty(); }
  // The first token at or after `from`; what it strips on its left does not reach before `from`.
  Match next(std::string_view text, size_t from) const;

 private:
  const AddedToken* at(std::string_view text) const;           // the one that text begins with
  size_t candidate(std::string_view text, size_t from) const;  // the next byte that can begin one

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  int only_first_byte_ = -1;  // if all tokens share it: memchr is faster than the table
};

}  // namespace tenon
