// The pickle machine (Python's Lib/pickletools.py describes each opcode) without everything that could run
// code.
#include "engine/io/pickle.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

namespace tenon {
namespace {

using Kind = PickleValue::Kind;

// clang-format off
enum Opcode : unsigned char {
  protocol_op = 0x80, frame_op = 0x95, mark_op = '(', stop_op = '.', pop_op = '0', pop_mark_op = '1', dup_op = '2',
  none_op = 'N', new_true_op = 0x88, new_false_op = 0x89, bin_int_op = 'J', bin_int1_op = 'K', bin_int2_op = 'M',
  long1_op = 0x8a, long4_op = 0x8b, bin_float_op = 'G',
  bin_string_op = 'T', short_bin_string_op = 'U', bin_unicode_op = 'X', short_bin_unicode_op = 0x8c,
  bin_unicode8_op = 0x8d, bin_bytes_op = 'B', short_bin_bytes_op = 'C', bin_bytes8_op = 0x8e,
  empty_list_op = ']', append_op = 'a', appends_op = 'e', list_op = 'l',
  empty_tuple_op = ')', tuple_op = 't', tuple1_op = 0x85, tuple2_op = 0x86, tuple3_op = 0x87,
  empty_dict_op = '}', dict_op = 'd', set_item_op = 's', set_items_op = 'u',
  bin_get_op = 'h', long_bin_get_op = 'j', bin_put_op = 'q', long_bin_put_op = 'r', memoize_op = 0x94,
  global_op = 'c', stack_global_op = 0x93, instance_op = 'i', reduce_op = 'R', build_op = 'b',
  bin_persistent_id_op = 'Q',
};
// clang-format on

constexpr std::string_view ordered_dict = "collections.OrderedDict";

// A name that a hostile file chose, as it may stand in a message: short and without control characters.
std::string printable(std::string name) {
  if (name.size() > 100) name.replace(100, std::string::npos, "...");
  std::ranges::replace_if(
      name, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return name;
}

class Machine {
 public:
  Machine(ByteReader& reader, std::span<const std::string_view> allowed)
      : reader_(reader), allowed_(allowed) {}
  Pickle run();

 private:
  using Values = std::vector<PickleValue*>;

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail("'", reader_.path(), "' has a damaged pickle: byte ", reader_.position() - 1, " ", parts...,
           "; get it again");
  }
  // Each executes one group of opcodes and says whether the opcode belongs to it.
  bool scalar(unsigned char opcode);
  bool text(unsigned char opcode);
  bool container(unsigned char opcode);
  bool stack(unsigned char opcode);
  bool memo(unsigned char opcode);
  bool object(unsigned char opcode);

  PickleValue& push(Kind kind);
  void push(Kind kind, Values items) { push(kind).items = std::move(items); }
  void push_integer(int64_t value) { push(Kind::integer).integer = value; }
  void push_long(std::string_view bytes);
  PickleValue* pop();
  PickleValue& top(Kind kind, std::string_view purpose);
  Values pop_count(size_t count);
  Values pop_to_mark();
  void extend(Kind kind, const Values& items);
  void push_global(std::string_view module, std::string_view name);
  void reduce();
  void build();

  ByteReader& reader_;
  std::span<const std::string_view> allowed_;
  Pickle pickle_;
  Values stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

Pickle Machine::run() {
  for (;;) {
    const auto opcode = reader_.number<unsigned char>();
    if (opcode == stop_op) {
      pickle_.root = pop();
      return std::move(pickle_);
    }
    const bool known = scalar(opcode) || text(opcode) || container(opcode) || stack(opcode) || memo(opcode) ||
                       object(opcode);
    if (!known)
      fail("'", reader_.path(), "' uses the pickle opcode ", int{opcode}, " at byte ", reader_.position() - 1,
           ", which a file of tensors does not need; refused: save the model's state_dict with torch.save");
  }
}

bool Machine::scalar(unsigned char opcode) {
  switch (opcode) {
    case protocol_op:
      reader_.skip(1);
      return true;
    case frame_op:
      reader_.skip(8);
      return true;
    case none_op:
      push(Kind::none);
      return true;
    case new_true_op:
      push(Kind::boolean).integer = 1;
      return true;
    case new_false_op:
      push(Kind::boolean);
      return true;
    case bin_int_op:
      push_integer(reader_.number<int32_t>());
      return true;
    case bin_int1_op:
      push_integer(reader_.number<uint8_t>());
      return true;
    case bin_int2_op:
      push_integer(reader_.number<uint16_t>());
      return true;
    case long1_op:
      push_long(reader_.take(reader_.number<uint8_t>()));
      return true;
    case long4_op:
      push_long(reader_.take(reader_.number<uint32_t>()));
      return true;
    case bin_float_op:
      push(Kind::real).real = std::bit_cast<double>(__builtin_bswap64(reader_.number<uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool Machine::text(unsigned char opcode) {
  uint64_t length = 0;
  switch (opcode) {
    case short_bin_string_op:
    case short_bin_unicode_op:
    case short_bin_bytes_op:
      length = reader_.number<uint8_t>();
      break;
    case bin_string_op:
    case bin_unicode_op:
    case bin_bytes_op:
      length = reader_.number<uint32_t>();
      break;
    case bin_unicode8_op:
    case bin_bytes8_op:
      length = reader_.number<uint64_t>();
      break;
    default:
      return false;
  }
  push(Kind::text).text = reader_.take(length);
  return true;
}

bool Machine::container(unsigned char opcode) {
  switch (opcode) {
    case empty_list_op:
      push(Kind::list);
      return true;
    case empty_dict_op:
      push(Kind::dict);
      return true;
    case empty_tuple_op:
      push(Kind::tuple);
      return true;
    case tuple1_op:
    case tuple2_op:
    case tuple3_op:
      push(Kind::tuple, pop_count(opcode - tuple1_op + 1u));
      return true;
    case tuple_op:
      push(Kind::tuple, pop_to_mark());
      return true;
    case list_op:
      push(Kind::list, pop_to_mark());
      return true;
    case dict_op: {
      const Values items = pop_to_mark();
      push(Kind::dict);
      extend(Kind::dict, items);
      return true;
    }
    default:
      return false;
  }
}

bool Machine::stack(unsigned char opcode) {
  switch (opcode) {
    case mark_op:
      marks_.push_back(stack_.size());
      return true;
    case pop_op:
      pop();
      return true;
    case pop_mark_op:
      pop_to_mark();
      return true;
    case append_op:
      extend(Kind::list, pop_count(1));
      return true;
    case appends_op:
      extend(Kind::list, pop_to_mark());
      return true;
    case set_item_op:
      extend(Kind::dict, pop_count(2));
      return true;
    case set_items_op:
      extend(Kind::dict, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool Machine::memo(unsigned char opcode) {
  const auto put = [this](uint64_t index) {
    require(!stack_.empty(), "keeps a value that is not there");
    memo_[index] = stack_.back();
  };
  const auto get = [this](uint64_t index) {
    const auto found = memo_.find(index);
    require(found != memo_.end(), "asks for a value that was not kept");
    stack_.push_back(found->second);
  };
  switch (opcode) {
    case bin_put_op:
      put(reader_.number<uint8_t>());
      return true;
    case long_bin_put_op:
      put(reader_.number<uint32_t>());
      return true;
    case memoize_op:
      put(memo_.size());
      return true;
    case bin_get_op:
      get(reader_.number<uint8_t>());
      return true;
    case long_bin_get_op:
      get(reader_.number<uint32_t>());
      return true;
    case dup_op:
      require(!stack_.empty(), "doubles a value that is not there");
      stack_.push_back(stack_.back());
      return true;
    default:
      return false;
  }
}

bool Machine::object(unsigned char opcode) {
  switch (opcode) {
    case global_op:
    case instance_op: {
      const std::string_view module = reader_.line();
      push_global(module, reader_.line());
      return opcode == global_op;  // an instance of an allowed name is not needed either
    }
    case stack_global_op: {
      const Values names = pop_count(2);
      require(names[0]->is(Kind::text) && names[1]->is(Kind::text), "names something by other than strings");
      push_global(names[0]->text, names[1]->text);
      return true;
    }
    case bin_persistent_id_op:
      push(Kind::persistent, pop_count(1));
      return true;
    case reduce_op:
      reduce();
      return true;
    case build_op:
      build();
      return true;
    default:
      return false;
  }
}

PickleValue& Machine::push(Kind kind) {
  PickleValue& value = pickle_.values.emplace_back();
  value.kind = kind;
  stack_.push_back(&value);
  return value;
}

void Machine::push_long(std::string_view bytes) {
  if (bytes.size() > sizeof(int64_t)) {
    push(Kind::big_integer).text = bytes;
    return;
  }
  const bool negative = !bytes.empty() && (bytes.back() & 0x80);
  uint64_t value = negative ? ~uint64_t{0} : 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  push_integer(static_cast<int64_t>(value));
}

PickleValue* Machine::pop() { return pop_count(1)[0]; }

PickleValue& Machine::top(Kind kind, std::string_view purpose) {
  require(!stack_.empty() && stack_.back()->is(kind), purpose);
  return *stack_.back();
}

Machine::Values Machine::pop_count(size_t count) {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  require(stack_.size() >= floor + count, "takes values that are not there");
  Values items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return items;
}

Machine::Values Machine::pop_to_mark() {
  require(!marks_.empty(), "looks for a mark that is not there");
  Values items = pop_count(stack_.size() - marks_.back());
  marks_.pop_back();
  return items;
}

void Machine::extend(Kind kind, const Values& items) {
  PickleValue& target = top(kind, "adds items to something else than a list or dict");
  require(kind == Kind::list || items.size() % 2 == 0, "adds a key without a value");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void Machine::push_global(std::string_view module, std::string_view name) {
  const std::string full = str(module, ".", name);
  if (std::ranges::find(allowed_, full) == allowed_.end())
    fail(
        "'", reader_.path(), "' asks to run ", printable(full),
        "; refused, since reading a model runs no code: get it from a source you trust, best as safetensors");
  push(Kind::global).text = full;
}

// An OrderedDict is called with nothing, or by Python 2 with a list of pairs.
void Machine::reduce() {
  const Values call = pop_count(2);
  require(call[0]->is(Kind::global) && call[1]->is(Kind::tuple), "calls something that is not a function");
  if (call[0]->text != ordered_dict) return push(Kind::call, call);
  push(Kind::dict);
  const Values& arguments = call[1]->items;
  if (arguments.empty()) return;
  require(arguments.size() == 1 && arguments[0]->is(Kind::list),
          "makes an OrderedDict from something else than pairs");
  for (const PickleValue* pair : arguments[0]->items) {
    require((pair->is(Kind::list) || pair->is(Kind::tuple)) && pair->items.size() == 2,
            "makes an OrderedDict from something else than pairs");
    extend(Kind::dict, pair->items);
  }
}

void Machine::build() {
  const PickleValue* state = pop();
  top(Kind::dict, "sets the state of something else than a dict");
  require(state->is(Kind::dict), "sets a state that is no dict");
}

}  // namespace

Pickle read_pickle(ByteReader& reader, std::span<const std::string_view> allowed_globals) {
  return Machine(reader, allowed_globals).run();
}

}  // namespace tenon
