// The directory stands at the end of the archive, so it is found and read from there.
#include "engine/io/zip.h"

#include <algorithm>

#include "engine/io/byte_reader.h"

namespace tenon {
namespace {

constexpr uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50;
constexpr uint32_t zip64_end_signature = 0x06064b50, zip64_locator_signature = 0x07064b50;
constexpr std::string_view end_signature = "PK\5\6";
constexpr size_t end_bytes = 22, zip64_locator_bytes = 20, longest_comment = 0xffff;
constexpr uint16_t zip64_extra = 1, encrypted_flag = 1, stored = 0;
constexpr uint32_t in_zip64 = 0xffffffff;  // a 32-bit field that is too small for its value

struct Directory {
  uint64_t count = 0, offset = 0;
};

Directory find_directory(std::string_view path, std::string_view bytes) {
  const size_t tail = bytes.size() - std::min(bytes.size(), end_bytes + longest_comment);
  const size_t found = bytes.substr(tail).rfind(end_signature);
  check(found != std::string_view::npos, "'", path,
        "' is cut short: it has no zip directory at its end; get it again");
  const size_t end = tail + found;
  ByteReader reader(path, bytes, end + 10);
  Directory directory;
  directory.count = reader.number<uint16_t>();
  const auto size = reader.number<uint32_t>();
  directory.offset = reader.number<uint32_t>();
  if (directory.count != 0xffff && size != in_zip64 && directory.offset != in_zip64) return directory;

  check(end >= zip64_locator_bytes, "'", path, "' has a damaged zip directory; get it again");
  ByteReader locator(path, bytes, end - zip64_locator_bytes);
  check(locator.number<uint32_t>() == zip64_locator_signature, "'", path,
        "' has no zip64 directory; get it again");
  locator.skip(4);
  ByteReader wide(path, bytes, locator.number<uint64_t>());
  check(wide.number<uint32_t>() == zip64_end_signature, "'", path, "' has no zip64 directory; get it again");
  wide.skip(28);
  directory.count = wide.number<uint64_t>();
  wide.skip(8);
  directory.offset = wide.number<uint64_t>();
  return directory;
}

// The extra field's 64-bit values replace those 32-bit ones that are full, in this order.
void widen(std::string_view path, std::string_view extra, uint64_t& size, uint64_t& stored_size,
           uint64_t& offset) {
  ByteReader reader(path, extra);
  while (reader.remaining() >= 4) {
    const auto id = reader.number<uint16_t>();
    ByteReader field(path, reader.take(reader.number<uint16_t>()));
    if (id != zip64_extra) continue;
    for (uint64_t* value : {&size, &stored_size, &offset})
      if (*value == in_zip64) *value = field.number<uint64_t>();
  }
}

// Reads one record of the directory and follows it to the member's bytes.
std::pair<std::string_view, std::string_view> read_member(std::string_view path, std::string_view bytes,
                                                          ByteReader& reader) {
  check(reader.number<uint32_t>() == central_signature, "'", path,
        "' has a damaged zip directory; get it again");
  reader.skip(4);
  const auto flags = reader.number<uint16_t>();
  const auto method = reader.number<uint16_t>();
  reader.skip(8);
  uint64_t stored_size = reader.number<uint32_t>(), size = reader.number<uint32_t>();
  const auto name_length = reader.number<uint16_t>(), extra_length = reader.number<uint16_t>(),
             comment_length = reader.number<uint16_t>();
  reader.skip(8);
  uint64_t offset = reader.number<uint32_t>();
  const std::string_view name = reader.take(name_length);
  widen(path, reader.take(extra_length), size, stored_size, offset);
  reader.skip(comment_length);
  check(!(flags & encrypted_flag), "'", path, "' has the encrypted member '", name, "'; decrypt the archive");
  check(method == stored && size == stored_size, "'", path, "' has the compressed member '", name,
        "', and PyTorch stores its tensors uncompressed; save it again with torch.save");

  ByteReader local(path, bytes, offset);
  check(local.number<uint32_t>() == local_signature, "'", path, "' has a damaged zip member '", name,
        "'; get it again");
  local.skip(22);
  const auto local_name_length = local.number<uint16_t>(), local_extra_length = local.number<uint16_t>();
  local.skip(uint64_t{local_name_length} + local_extra_length);
  return {name, local.take(size)};
}

}  // namespace

std::map<std::string, std::string_view, std::less<>> read_zip(const MappedFile& file) {
  const std::string_view path = file.path(), bytes = file.text();
  const Directory directory = find_directory(path, bytes);
  std::map<std::string, std::string_view, std::less<>> members;
  ByteReader reader(path, bytes, directory.offset);
  for (uint64_t i = 0; i < directory.count; ++i) {
    const auto [name, data] = read_member(path, bytes, reader);
    check(members.emplace(name, data).second, "'", path, "' has the zip member '", name,
          "' twice; get it again");
  }
  return members;
}

}  // namespace tenon
