// Remembers the ids of short words as they stand in the text, so that a frequent word is looked at once.
// Two-way set-associative: a set is one cache line, and of three words that meet in one the oldest goes. 2
// MB.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace tenon {

class WordCache {
 public:
  static constexpr size_t max_bytes = 16, max_ids = 3;

  // A word of at most max_bytes bytes, filled up with zeros.
  struct Key {
    uint64_t head = 0, tail = 0;
    uint32_t length = 0;

    Key() = default;
    explicit Key(std::string_view word) : length(static_cast<uint32_t>(word.size())) {
      char bytes[max_bytes] = {};
      word.copy(bytes, max_bytes);
      std::memcpy(&head, bytes, sizeof head);
      std::memcpy(&tail, bytes + sizeof head, sizeof tail);
    }
  };

  struct Entry {
    uint64_t head = 0, tail = 0;
    std::array<int32_t, max_ids> ids{};
    uint16_t length = 0;  // 0: free
    uint16_t count = 0;

    bool is(const Key& key) const {  // in one comparison: which word follows cannot be predicted
      return ((head ^ key.head) | (tail ^ key.tail) | (length ^ key.length)) == 0;
    }
  };

  WordCache() : sets_(size_t{1} << set_bits) {}

  // Forgets everything if it was filled by another tokeniser.
  void attach(uint64_t tokenizer_hash) {
    if (owner_ == tokenizer_hash) return;
    sets_.assign(sets_.size(), {});
    owner_ = tokenizer_hash;
  }

  const Entry* find(const Key& key) const {
    const Set& set = sets_[index(key)];
    const Entry* const entry = set.entries + set.entries[1].is(key);
    return entry->is(key) ? entry : nullptr;
  }

  // A free entry for a key that is not there; the caller fills in the ids.
  Entry& insert(const Key& key) {
    Set& set = sets_[index(key)];
    set.entries[1] = set.entries[0];
    set.entries[0] = {key.head, key.tail, {}, static_cast<uint16_t>(key.length), 0};
    return set.entries[0];
  }

 private:
  static constexpr int set_bits = 15;
  struct alignas(64) Set {
    Entry entries[2];  // the newer, the older
  };

  static size_t index(const Key& key) {
    const uint64_t mixed = (key.head ^ (key.tail * 0xD6E8FEB86659FD93ull)) * 0x9E3779B97F4A7C15ull;
    return mixed >> (64 - set_bits);
  }

  std::vector<Set> sets_;
  uint64_t owner_ = 0;
};

}  // namespace tenon
