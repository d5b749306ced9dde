// Finds the words of plain ASCII text, eight bytes at a time, for the fast path of WordPiece.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "models/text/word_cache.h"

namespace tenon::ascii {

enum Kind : uint8_t { letter, other, punctuation, space };  // other: not ASCII, or a control character

inline constexpr std::array<uint8_t, 256> kinds = [] {
  std::array<uint8_t, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    table[static_cast<size_t>(c)] = blank                ? space
                                    : alphanumeric       ? letter
                                    : c < 32 || c >= 127 ? other
                                                         : punctuation;
  }
  return table;
}();

inline Kind kind_of(char byte) { return static_cast<Kind>(kinds[static_cast<unsigned char>(byte)]); }

static_assert(std::endian::native == std::endian::little, "the first byte of a word must be its lowest");

// How many of these eight bytes, from the lowest, are ASCII letters and digits before the first that is not.
inline int leading_letters(uint64_t bytes) {
  constexpr uint64_t each = 0x0101010101010101u, high = 0x80 * each;
  // The answer stands in the high bit of each byte.
  const auto within = [](uint64_t seven_bits, uint64_t first, uint64_t last) {
    return (seven_bits + (0x80 - first) * each) ^ (seven_bits + (0x7F - last) * each);
  };
  const uint64_t low = bytes & ~high;
  const uint64_t letters = (within(low | 0x20 * each, 'a', 'z') | within(low, '0', '9')) & ~bytes & high;
  return std::countr_zero(letters ^ high) / 8;
}

inline uint64_t load(const char* from) {
  uint64_t bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

inline uint64_t lowest(int count, uint64_t bytes) {
  return count == 8 ? bytes : bytes & ((uint64_t{1} << (8 * count)) - 1);
}

// The run of letters and digits at `text`, which must have 17 bytes; length 0 if it is longer than 16 or
// empty.
inline WordCache::Key short_word(const char* text) {
  WordCache::Key key;
  const uint64_t head = load(text);
  int length = leading_letters(head);
  key.head = lowest(length, head);
  if (length == 8) {
    const uint64_t tail = load(text + 8);
    const int more = leading_letters(tail);
    if (more == 8) return key;
    key.tail = lowest(more, tail);
    length += more;
  }
  key.length = static_cast<uint32_t>(length);
  return key;
}

}  // namespace tenon::ascii
