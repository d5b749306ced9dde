#include "models/text/vocabulary.h"

#include <bit>

#include "kernels/base/error.h"

namespace tenon {
namespace {

uint32_t edge_key(uint32_t node, char byte) { return node << 8 | static_cast<unsigned char>(byte); }

}  // namespace

Vocabulary::Vocabulary(const std::vector<std::pair<std::string, int32_t>>& tokens, std::string_view prefix)
    : ids_(continuation_root + 1, -1), edges_(std::bit_ceil(8 * tokens.size() + 64)) {
  shift_ = 32 - std::countr_zero(edges_.size());
  for (const auto& [token, id] : tokens) {
    insert(word_root, token, id);
    if (token.starts_with(prefix))
      insert(continuation_root, std::string_view(token).substr(prefix.size()), id);
  }
}

size_t Vocabulary::slot(uint32_t key) const {
  size_t index = (key * 0x9E3779B1u) >> shift_;
  while (edges_[index].key != 0 && edges_[index].key != key) index = (index + 1) & (edges_.size() - 1);
  return index;
}

uint32_t Vocabulary::child(uint32_t node, char byte) const {
  return edges_[slot(edge_key(node, byte))].child;
}

uint32_t Vocabulary::add_child(uint32_t node, char byte) {
  if (2 * ids_.size() > edges_.size()) grow();
  const uint32_t key = edge_key(node, byte);
  Edge& edge = edges_[slot(key)];
  if (edge.key == 0) {
    edge = {key, static_cast<uint32_t>(ids_.size())};
    check(ids_.size() < (1u << 24), "the vocabulary is too large for WordPiece: over 16 million prefixes");
    ids_.push_back(-1);
  }
  return edge.child;
}

void Vocabulary::grow() {
  std::vector<Edge> old(2 * edges_.size());
  old.swap(edges_);
  --shift_;
  for (const Edge& edge : old)
    if (edge.key != 0) edges_[slot(edge.key)] = edge;
}

void Vocabulary::insert(uint32_t root, std::string_view text, int32_t id) {
  uint32_t node = root;
  for (char byte : text) node = add_child(node, byte);
  ids_[node] = id;
}

int32_t Vocabulary::find(std::string_view token) const {
  const Match match = longest(token, false);
  return match.length == token.size() ? match.id : -1;
}

Vocabulary::Match Vocabulary::longest(std::string_view text, bool continues_word) const {
  Match match;
  uint32_t node = continues_word ? continuation_root : word_root;
  for (size_t i = 0; i < text.size() && (node = child(node, text[i])) != 0; ++i)
    if (ids_[node] >= 0) match = {ids_[node], i + 1};
  return match;
}

}  // namespace tenon
