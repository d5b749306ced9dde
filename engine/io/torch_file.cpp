// Finds the pickle and the storages in either layout, then turns the calls of _rebuild_tensor_v2 that the
// pickle holds into views of those storages.
#include "engine/io/torch_file.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/io/pickle.h"
#include "engine/io/zip.h"

namespace tenon {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view zip_start = "PK\3\4";
constexpr std::string_view legacy_magic =
    "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // 0x1950a86a20f9469cfc6c
constexpr std::string_view legacy_start = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t legacy_version = 1001;
constexpr char pickle_start = '\x80';

constexpr std::string_view rebuild_tensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view rebuild_parameter = "torch._utils._rebuild_parameter";
constexpr std::string_view allowed_globals[] = {
    "collections.OrderedDict",     rebuild_tensor,          rebuild_parameter,     "torch.FloatStorage",
    "torch.HalfStorage",           "torch.BFloat16Storage", "torch.DoubleStorage", "torch.IntStorage",
    "torch.LongStorage",           "torch.ByteStorage",     "torch.BoolStorage",   "torch.UntypedStorage",
    "torch.storage.UntypedStorage"};
constexpr std::pair<std::string_view, DType> storage_dtypes[] = {
    {"torch.FloatStorage", DType::f32},     {"torch.HalfStorage", DType::f16},
    {"torch.BFloat16Storage", DType::bf16}, {"torch.DoubleStorage", DType::f64},
    {"torch.IntStorage", DType::i32},       {"torch.LongStorage", DType::i64},
    {"torch.ByteStorage", DType::u8},       {"torch.BoolStorage", DType::u8},
    {"torch.UntypedStorage", DType::u8},    {"torch.storage.UntypedStorage", DType::u8}};

using Storages = std::map<std::string, std::string_view, std::less<>>;

// What a persistent id says: ("storage", type, key, location, number of elements, and in old files a view).
struct StorageId {
  std::string_view key;
  DType dtype;
};

StorageId storage_id(std::string_view path, const PickleValue& value) {
  const PickleValue* id = value.is(Kind::persistent) ? value.items[0] : nullptr;
  const bool valid = id && id->is(Kind::tuple) && id->items.size() >= 5 && id->items[0]->text == "storage" &&
                     id->items[1]->is(Kind::global) && id->items[2]->is(Kind::text);
  check(valid, "'", path, "' has a tensor whose storage is not described as PyTorch does; get it again");
  check(id->items.size() == 5 || id->items[5]->is(Kind::none), "'", path,
        "' has a storage that is a view of another, as PyTorch before 0.4 wrote; save it again with a newer "
        "one");
  const auto known =
      std::ranges::find(storage_dtypes, id->items[1]->text, [](const auto& pair) { return pair.first; });
  check(known != std::end(storage_dtypes), "'", path, "' has a storage of the type ", id->items[1]->text,
        "; get it again");
  return {id->items[2]->text, known->second};
}

bool is_tensor(const PickleValue& value) {
  return value.is_call(rebuild_tensor) || value.is_call(rebuild_parameter);
}

// The one dict of the pickle that maps names to tensors.
const PickleValue& tensor_mapping(std::string_view path, const Pickle& pickle) {
  const PickleValue* found = nullptr;
  int count = 0;
  for (const PickleValue& value : pickle.values) {
    bool maps_names = false;
    for (size_t i = 0; value.is(Kind::dict) && i < value.items.size(); i += 2)
      maps_names = maps_names || (value.items[i]->is(Kind::text) && is_tensor(*value.items[i + 1]));
    if (!maps_names) continue;
    found = &value;
    ++count;
  }
  check(count != 0, "'", path,
        "' has no dict of names and tensors; save the model's state_dict with torch.save");
  check(count == 1, "'", path, "' has ", count,
        " dicts of names and tensors; save only the model's state_dict with torch.save");
  return *found;
}

// Copies a strided tensor in row-major order; from points to the element at index 0.
void gather(const std::byte* from, const TensorView& view, int axis, std::byte*& to) {
  const size_t width = size_of(view.dtype);
  if (axis == view.rank || axis == max_rank) {  // the second tells g++ that no shape is longer
    std::memcpy(to, from, width);
    to += width;
    return;
  }
  const ptrdiff_t step = view.stride[axis] * static_cast<ptrdiff_t>(width);
  for (int64_t i = 0; i < view.shape[axis]; ++i) gather(from + i * step, view, axis + 1, to);
}

// Makes views of the storages of one file, whose memory they stay in where they are contiguous.
class TensorBuilder {
 public:
  TensorBuilder(FileMemory& memory, const Storages& storages) : memory_(memory), storages_(storages) {}

  TensorEntry build(const std::string& name, const PickleValue& value);

 private:
  template <class... Parts>
  void require(bool ok, const std::string& name, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail("'", memory_.file.path(), "': the tensor '", name, "' ", parts...);
  }
  TensorView layout(const std::string& name, const PickleValue& sizes, const PickleValue& strides) const;
  uint64_t elements_spanned(const std::string& name, const TensorView& view) const;

  FileMemory& memory_;
  const Storages& storages_;
};

TensorEntry TensorBuilder::build(const std::string& name, const PickleValue& value) {
  const auto* arguments = &value.items[1]->items;
  if (value.is_call(rebuild_parameter)) {
    require(!arguments->empty() && (*arguments)[0]->is_call(rebuild_tensor), name,
            "is a parameter without data; get the file again");
    arguments = &(*arguments)[0]->items[1]->items;
  }
  require(arguments->size() >= 4 && (*arguments)[1]->is(Kind::integer) && (*arguments)[1]->integer >= 0, name,
          "is not described as PyTorch does; get the file again");
  const StorageId id = storage_id(memory_.file.path(), *(*arguments)[0]);
  const auto storage = storages_.find(id.key);
  require(storage != storages_.end(), name, "asks for the storage '", id.key,
          "', which the file lacks; get it again");

  TensorView view = layout(name, *(*arguments)[2], *(*arguments)[3]);
  view.dtype = id.dtype;
  const uint64_t capacity = storage->second.size() / size_of(view.dtype);
  const auto offset = static_cast<uint64_t>((*arguments)[1]->integer);
  const uint64_t spanned = elements_spanned(name, view);
  require(offset <= capacity && spanned <= capacity - offset, name,
          "reaches past the end of its storage; get the file again");
  // A stride of 0 repeats elements: a few bytes of pickle must not ask for all of the memory.
  require(view.bytes() <= memory_.file.bytes().size(), name,
          "repeats elements beyond the size of the file; save it after .contiguous()");

  const auto* data =
      reinterpret_cast<const std::byte*>(storage->second.data()) + offset * size_of(view.dtype);
  if (view.contiguous() || view.size() == 0) {
    view.set_contiguous();
    view.data = memory_.aligned(data, view.bytes(), size_of(view.dtype));
  } else {
    std::byte* copy = memory_.allocate(view.bytes());
    view.data = copy;
    gather(data, view, 0, copy);
    view.set_contiguous();
  }
  return {name, view};
}

TensorView TensorBuilder::layout(const std::string& name, const PickleValue& sizes,
                                 const PickleValue& strides) const {
  const size_t rank = sizes.items.size();
  require(sizes.is(Kind::tuple) && strides.is(Kind::tuple) && strides.items.size() == rank, name,
          "has no matching sizes and strides; get the file again");
  require(rank <= max_rank, name, "has ", rank, " dimensions, and Tenon reads up to ", max_rank,
          "; reshape it");
  TensorView view;
  view.rank = static_cast<int>(rank);
  for (size_t i = 0; i < rank; ++i) {
    const PickleValue &size = *sizes.items[i], &stride = *strides.items[i];
    require(size.is(Kind::integer) && stride.is(Kind::integer) && size.integer >= 0 && stride.integer >= 0,
            name, "has a size or stride that is not a whole number from 0 on; get the file again");
    view.shape[i] = size.integer;
    view.stride[i] = stride.integer;
  }
  return view;
}

// From the first to the last element, both included; 0 for a tensor without elements. A size of 0 counts as 1
// in the check for overflow, since strides are products of the other sizes.
uint64_t TensorBuilder::elements_spanned(const std::string& name, const TensorView& view) const {
  int64_t bytes = static_cast<int64_t>(size_of(view.dtype)), last = 0;
  bool fits = true, empty = false;
  for (int i = 0; i < view.rank; ++i) {
    const int64_t size = std::max<int64_t>(view.shape[i], 1);
    int64_t reach = 0;
    fits = fits && !__builtin_mul_overflow(bytes, size, &bytes) &&
           !__builtin_mul_overflow(size - 1, view.stride[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
    empty = empty || view.shape[i] == 0;
  }
  require(fits && last < INT64_MAX, name, "has sizes that overflow 64 bits; get the file again");
  return empty ? 0 : static_cast<uint64_t>(last) + 1;
}

TensorFile tensors_of(std::shared_ptr<FileMemory> memory, const Pickle& pickle, const Storages& storages) {
  TensorBuilder builder(*memory, storages);
  const PickleValue& mapping = tensor_mapping(memory->file.path(), pickle);
  std::vector<TensorEntry> entries;
  for (size_t i = 0; i < mapping.items.size(); i += 2) {
    const PickleValue &key = *mapping.items[i], &value = *mapping.items[i + 1];
    if (key.is(Kind::text) && is_tensor(value)) entries.push_back(builder.build(key.text, value));
  }
  return {std::move(memory), std::move(entries), {}};
}

// PyTorch 1.6 and later: NAME/data.pkl, NAME/byteorder and one member NAME/data/KEY for each storage.
TensorFile read_archive(std::shared_ptr<FileMemory> memory) {
  constexpr std::string_view pickle_name = "/data.pkl";
  const std::string& path = memory->file.path();
  const auto members = read_zip(memory->file);
  const auto main =
      std::ranges::find_if(members, [&](const auto& member) { return member.first.ends_with(pickle_name); });
  check(main != members.end(), "'", path,
        "' is a zip archive without a data.pkl, so torch.save did not write it; give another file");
  const std::string folder = main->first.substr(0, main->first.size() - pickle_name.size());
  const auto order = members.find(folder + "/byteorder");
  check(order == members.end() || order->second == "little", "'", path,
        "' is big-endian; save it on a little-endian machine");
  const std::string prefix = folder + "/data/";
  Storages storages;
  for (const auto& [name, data] : members)
    if (name.starts_with(prefix)) storages.emplace(name.substr(prefix.size()), data);
  ByteReader reader(path, main->second);
  const Pickle pickle = read_pickle(reader, allowed_globals);
  return tensors_of(std::move(memory), pickle, storages);
}

// Storages follow the pickles in the order of their keys, each after the number of its elements.
Storages read_legacy_storages(ByteReader& reader, const Pickle& pickle, const PickleValue& keys) {
  std::map<std::string_view, DType> dtypes;
  for (const PickleValue& value : pickle.values)
    if (value.is(Kind::persistent)) {
      const StorageId id = storage_id(reader.path(), value);
      dtypes.emplace(id.key, id.dtype);
    }
  check(keys.is(Kind::list), "'", reader.path(), "' has no list of storages; get it again");
  Storages storages;
  for (const PickleValue* key : keys.items) {
    const auto dtype = dtypes.find(key->text);
    check(dtype != dtypes.end(), "'", reader.path(), "' has a storage that no tensor uses; get it again");
    const auto count = reader.number<uint64_t>();
    const size_t width = size_of(dtype->second);
    const uint64_t bytes =
        count <= reader.remaining() / width ? count * width : UINT64_MAX;  // too many: take() says so
    storages.emplace(key->text, reader.take(bytes));
  }
  return storages;
}

// Before PyTorch 1.6: pickles of a magic number, a version, the writer's system, the object and the storages'
// keys.
TensorFile read_legacy(std::shared_ptr<FileMemory> memory) {
  const std::string& path = memory->file.path();
  ByteReader reader(path, memory->file.text());
  const Pickle magic = read_pickle(reader, allowed_globals);
  check(magic.root->is(Kind::big_integer) && magic.root->text == legacy_magic, "'", path,
        "' is a pickle that torch.save did not write; save the model's state_dict with torch.save");
  const Pickle version = read_pickle(reader, allowed_globals);
  check(version.root->is(Kind::integer) && version.root->integer == legacy_version, "'", path,
        "' has an unknown version of torch.save's old format; save it again with a newer PyTorch");
  const Pickle system = read_pickle(reader, allowed_globals);
  for (size_t i = 0; system.root->is(Kind::dict) && i < system.root->items.size(); i += 2)
    check(system.root->items[i]->text != "little_endian" || system.root->items[i + 1]->integer == 1, "'",
          path, "' is big-endian; save it on a little-endian machine");
  const Pickle object = read_pickle(reader, allowed_globals);
  const Pickle keys = read_pickle(reader, allowed_globals);
  const Storages storages = read_legacy_storages(reader, object, *keys.root);
  return tensors_of(std::move(memory), object, storages);
}

}  // namespace

bool looks_like_torch_file(std::string_view bytes) {
  return bytes.starts_with(zip_start) ||
         (bytes.starts_with(pickle_start) && bytes.substr(1).find(legacy_start) == 1);
}

TensorFile read_torch_file(const std::string& path) {
  auto memory = std::make_shared<FileMemory>(path);
  const std::string_view bytes = memory->file.text();
  check(!bytes.empty(), "'", path, "' is empty; get it again");
  if (bytes.starts_with(zip_start)) return read_archive(std::move(memory));
  check(bytes.starts_with(pickle_start), "'", path,
        "' is neither a safetensors file nor one of torch.save; give the path of a model's weights");
  return read_legacy(std::move(memory));
}

}  // namespace tenon
