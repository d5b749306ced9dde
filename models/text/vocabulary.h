// The words and word pieces of a WordPiece model as a trie, whose edges lie in one flat hash table: finds the
// longest piece that a text begins with in one walk over its bytes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon {

class Vocabulary {
 public:
  struct Match {
    int32_t id = -1;    // -1: no piece fits
    size_t length = 0;  // bytes of the text that it covers
  };

  Vocabulary() = default;
  // Pairs of token and id. One that starts with `prefix` ("##") continues a word; of a repeated one the last
  // id holds.
  Vocabulary(const std::vector<std::pair<std::string, int32_t>>& tokens, std::string_view prefix);

  int32_t find(std::string_view token) const;  // its id, -1 if there is none
  Match longest(std::string_view text, bool continues_word) const;

 private:
  struct Edge {
    uint32_t key;  // node << 8 | byte; 0 is free, since node 0 does not exist
    uint32_t child;
  };
  static constexpr uint32_t word_root = 1, continuation_root = 2;

  void insert(uint32_t root, std::string_view text, int32_t id);
  uint32_t child(uint32_t node, char byte) const;
  uint32_t add_child(uint32_t node, char byte);
  void grow();
  size_t slot(uint32_t key) const;

  std::vector<int32_t> ids_;  // by trie node, -1 where no token ends
  std::vector<Edge> edges_;   // open addressing, a power of two, at most half full
  int shift_ = 0;             // 32 - log2 of the number of edges
};

}  // namespace tenon
