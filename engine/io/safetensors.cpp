// Reading checks the whole header before any tensor is handed out: every byte of the file belongs to exactly
// one tensor.
#include "engine/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace tenon {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is used in place");

constexpr size_t length_bytes = 8;
constexpr uint64_t longest_header = 100'000'000;  // HuggingFace's reader has the same limit
constexpr std::string_view metadata_key = "__metadata__";

constexpr std::pair<std::string_view, DType> dtype_names[] = {
    {"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"F64", DType::f64},
    {"I32", DType::i32}, {"I64", DType::i64}, {"U8", DType::u8},     {"BOOL", DType::u8}};

struct Region {
  TensorEntry entry;
  uint64_t begin = 0, end = 0;  // relative to the end of the header
};

// Parses the header of one file; each member function checks one part of it.
class HeaderReader {
 public:
  explicit HeaderReader(const MappedFile& file) : path_(file.path()), bytes_(file.text()) { parse(); }

  Metadata metadata() const;
  std::vector<Region> regions() const;  // sorted by offset, covering all bytes after the header
  size_t data_offset() const { return data_offset_; }

 private:
  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail("'", path_, "' is not a valid safetensors file: ", parts..., "; get or write it again");
  }
  void parse();
  void parse_watching_keys(std::string_view header);
  Region region(const std::string& name, const json& value) const;
  TensorView view(const std::string& name, const json& dtype, const json& shape) const;
  void check_coverage(const std::vector<Region>& sorted) const;

  const std::string& path_;
  std::string_view bytes_;
  size_t data_offset_ = 0;
  json header_;
};

void HeaderReader::parse() {
  require(!bytes_.empty(), "it is empty");
  require(bytes_.size() >= length_bytes, "it ends inside the 8 bytes of the header's length");
  uint64_t length = 0;
  std::memcpy(&length, bytes_.data(), length_bytes);
  require(length <= longest_header, "it announces a header of ", length, " bytes, and the most is ",
          longest_header);
  require(length <= bytes_.size() - length_bytes, "it announces a header of ", length, " bytes, and only ",
          bytes_.size() - length_bytes, " follow");
  data_offset_ = length_bytes + length;
  const std::string_view header = bytes_.substr(length_bytes, length);
  try {
    parse_watching_keys(header);
  } catch (const json::parse_error& error) {
    require(false, "its header is not JSON from byte ", error.byte, " on");
  } catch (const json::exception&) {
    require(false, "its header is JSON with a number that is too large");
  }
}

// json::parse alone silently keeps the last of two equal keys.
void HeaderReader::parse_watching_keys(std::string_view header) {
  using Event = json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  header_ = json::parse(header, [&](int depth, Event event, json& value) {
    const bool is_object = event == Event::object_start || event == Event::object_end;
    require(depth > 0 || is_object, "its header is not a JSON object");
    require(depth < 4, "its header is nested too deeply");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& name = value.get_ref<const std::string&>();
      require(keys.back().insert(name).second, "its header has the name '", name, "' twice");
    }
    return true;
  });
}

Metadata HeaderReader::metadata() const {
  Metadata metadata;
  const auto found = header_.find(metadata_key);
  if (found == header_.end()) return metadata;
  require(found->is_object(), metadata_key, " is not an object");
  for (const auto& [key, value] : found->items()) {
    require(value.is_string(), metadata_key, " '", key, "' is not a string");
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

std::vector<Region> HeaderReader::regions() const {
  std::vector<Region> regions;
  for (const auto& [name, value] : header_.items())
    if (name != metadata_key) regions.push_back(region(name, value));
  std::ranges::stable_sort(regions, {}, [](const Region& r) { return std::pair(r.begin, r.end); });
  check_coverage(regions);
  return regions;
}

Region HeaderReader::region(const std::string& name, const json& value) const {
  require(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
              value.contains("data_offsets"),
          "the tensor '", name, "' needs exactly dtype, shape and data_offsets");
  const TensorView view = this->view(name, value["dtype"], value["shape"]);
  const json& offsets = value["data_offsets"];
  require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
              offsets[1].is_number_unsigned(),
          "the data_offsets of the tensor '", name, "' are not two whole numbers from 0 on");
  const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
  require(begin <= end, "the data_offsets of the tensor '", name, "' are reversed");
  require(end - begin == view.bytes(), "the tensor '", name, "' ", view, " takes ", view.bytes(),
          " bytes, and its data_offsets span ", end - begin);
  return {{name, view}, begin, end};
}

TensorView HeaderReader::view(const std::string& name, const json& dtype, const json& shape) const {
  require(dtype.is_string(), "the dtype of the tensor '", name, "' is not a string");
  const auto& type = dtype.get_ref<const std::string&>();
  const auto known = std::ranges::find(dtype_names, type, [](const auto& pair) { return pair.first; });
  check(known != std::end(dtype_names), "'", path_, "' has the tensor '", name, "' of dtype ", type,
        ", which Tenon does not read; convert it to F32, F16, BF16, F64, I32, I64, U8 or BOOL");
  require(shape.is_array(), "the shape of the tensor '", name, "' is not a list");
  check(shape.size() <= max_rank, "'", path_, "' has the tensor '", name, "' with ", shape.size(),
        " dimensions, and Tenon reads up to ", max_rank, "; reshape it");
  TensorView view;
  view.dtype = known->second;
  int64_t bytes = static_cast<int64_t>(size_of(view.dtype));
  bool fits = true;
  for (const json& size : shape) {
    require(size.is_number_unsigned(), "the shape of the tensor '", name,
            "' has a size that is not a whole number from 0 on");
    const auto wide = size.get<uint64_t>();
    // A size of 0 counts as 1 here: strides are products of the other sizes and must not overflow either.
    fits = fits && !__builtin_mul_overflow(bytes, std::max<uint64_t>(wide, 1), &bytes);
    view.shape[view.rank++] = static_cast<int64_t>(wide);
  }
  require(fits, "the shape of the tensor '", name, "' overflows 64 bits");
  view.set_contiguous();
  return view;
}

void HeaderReader::check_coverage(const std::vector<Region>& sorted) const {
  uint64_t next = 0;
  std::string_view previous;
  for (const Region& region : sorted) {
    const std::string& name = region.entry.name;
    require(region.begin >= next, "the tensors '", previous, "' and '", name, "' overlap");
    require(region.begin == next, "bytes ", next, " to ", region.begin, " before the tensor '", name,
            "' belong to no tensor");
    next = region.end;
    previous = name;
  }
  const uint64_t present = bytes_.size() - data_offset_;
  require(next <= present, "it is cut short: its tensors end at byte ", next, " with '", previous, "', and ",
          present, " bytes are there");
  require(next == present, present - next, " bytes follow the last tensor");
}

std::string_view name_of(DType dtype) {
  return std::ranges::find(dtype_names, dtype, [](const auto& pair) { return pair.second; })->first;
}

std::vector<const TensorEntry*> in_file_order(const std::string& path, std::span<const TensorEntry> tensors) {
  std::vector<const TensorEntry*> sorted;
  std::set<std::string_view> names;
  for (const TensorEntry& entry : tensors) {
    check(entry.name != metadata_key && names.insert(entry.name).second, "cannot write '", path,
          "': the name '", entry.name, "' is reserved or given twice");
    check(entry.view.contiguous(), "cannot write '", path, "': the tensor '", entry.name,
          "' is not contiguous");
    sorted.push_back(&entry);
  }
  std::ranges::sort(sorted, [](const TensorEntry* a, const TensorEntry* b) {
    return std::pair(size_of(b->view.dtype), std::string_view(a->name)) <
           std::pair(size_of(a->view.dtype), std::string_view(b->name));
  });
  return sorted;
}

std::string header_text(const std::vector<const TensorEntry*>& sorted, const Metadata& metadata) {
  std::vector<std::string> members;
  if (!metadata.empty()) members.push_back(str(json(metadata_key).dump(), ":", json(metadata).dump()));
  uint64_t offset = 0;
  for (const TensorEntry* entry : sorted) {
    const TensorView& view = entry->view;
    const uint64_t end = offset + view.bytes();
    const json shape(std::vector<int64_t>(view.shape, view.shape + view.rank));
    members.push_back(str(json(entry->name).dump(), ":{\"dtype\":\"", name_of(view.dtype),
                          "\",\"shape\":", shape.dump(), ",\"data_offsets\":[", offset, ",", end, "]}"));
    offset = end;
  }
  std::string text;
  for (const std::string& member : members) text += str(text.empty() ? "{" : ",", member);
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data then starts at a multiple of 8
  return text;
}

}  // namespace

TensorFile read_safetensors(const std::string& path) {
  auto memory = std::make_shared<FileMemory>(path);
  const HeaderReader header(memory->file);
  const std::byte* data = memory->file.bytes().data() + header.data_offset();
  std::vector<TensorEntry> entries;
  for (Region& region : header.regions()) {
    TensorEntry& entry = entries.emplace_back(std::move(region.entry));
    entry.view.data = memory->aligned(data + region.begin, entry.view.bytes(), size_of(entry.view.dtype));
  }
  return {memory, std::move(entries), header.metadata()};
}

void write_safetensors(const std::string& path, std::span<const TensorEntry> tensors,
                       const Metadata& metadata) {
  const auto sorted = in_file_order(path, tensors);
  std::string header;
  try {
    header = header_text(sorted, metadata);
  } catch (const json::exception&) {
    fail("cannot write '", path, "': a tensor's name or the metadata is not valid UTF-8");
  }
  const uint64_t length = header.size();
  size_t total = length_bytes + header.size();
  for (const TensorEntry* entry : sorted) total += entry->view.bytes();

  AtomicFile file(path, total);
  file.write(&length, length_bytes);
  file.write(header);
  for (const TensorEntry* entry : sorted) file.write(entry->view.data, entry->view.bytes());
  file.commit();
}

}  // namespace tenon
