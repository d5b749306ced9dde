// A bounds-checked walk over the little-endian bytes of a file.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernels/base/error.h"

namespace tenon {

// Reading past the end is an Error that says that the file is cut short or damaged.
class ByteReader {
 public:
  ByteReader(std::string_view path, std::string_view bytes, uint64_t position = 0)
      : path_(path), bytes_(bytes) {
    skip(position);
  }

  std::string_view path() const { return path_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  std::string_view take(uint64_t count) {
    if (count > remaining())
      fail("'", path_, "' is cut short or damaged at byte ", position_, "; get it again");
    position_ += count;
    return bytes_.substr(position_ - count, count);
  }
  void skip(uint64_t count) { take(count); }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  // Up to the next newline, which is passed.
  std::string_view line() {
    const size_t length = bytes_.substr(position_).find('\n');
    const std::string_view text = take(length == std::string_view::npos ? remaining() + 1 : length);
    skip(1);
    return text;
  }

 private:
  std::string_view path_, bytes_;
  size_t position_ = 0;
};

}  // namespace tenon
