// Python's pickle, protocols 2 to 5, read as inert data: a call that the stream asks for becomes a value that
// says what would be called, and is never made. Names that are not on the caller's list end the reading.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/byte_reader.h"

namespace tenon {

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    big_integer,
    real,
    text,
    tuple,
    list,
    dict,
    global,      // text: "module.name"
    call,        // items: a global and the tuple of its arguments
    persistent,  // items: what the writer put in place of an object that it kept outside of the pickle
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // also a boolean's 0 or 1
  double real = 0;
  std::string text;                 // a string or bytes; a big_integer's two's complement, little-endian
  std::vector<PickleValue*> items;  // of a tuple or list; a dict's keys and values in turn

  bool is(Kind other) const { return kind == other; }
  bool is_call(std::string_view callable) const { return kind == Kind::call && items[0]->text == callable; }
};

// All values of one pickle. They may refer to each other in cycles, which is why the pickle owns them
// together.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
};

// Reads one pickle and leaves the reader behind it. collections.OrderedDict, where allowed, becomes a dict,
// and the attributes set on one are dropped.
Pickle read_pickle(ByteReader& reader, std::span<const std::string_view> allowed_globals);

}  // namespace tenon
