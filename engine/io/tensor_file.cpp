// The handle to an open tensor file, and the choice of its reader.
#include "engine/io/tensor_file.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "engine/io/safetensors.h"
#include "engine/io/torch_file.h"

namespace tenon {

std::byte* FileMemory::allocate(size_t count) {
  return copies.emplace_back(std::make_unique_for_overwrite<std::byte[]>(count)).get();
}

void* FileMemory::aligned(const std::byte* data, size_t count, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(data) % alignment == 0) return const_cast<std::byte*>(data);
  std::byte* copy = allocate(count);
  if (count > 0) std::memcpy(copy, data, count);
  return copy;
}

TensorFile::TensorFile(std::shared_ptr<const FileMemory> memory, std::vector<TensorEntry> entries,
                       Metadata metadata) {
  auto contents = std::make_shared<Contents>();
  contents->memory = std::move(memory);
  contents->entries = std::move(entries);
  contents->metadata = std::move(metadata);
  for (const TensorEntry& entry : contents->entries)
    check(contents->index.emplace(entry.name, &entry).second, "'", contents->memory->file.path(),
          "' has the tensor '", entry.name, "' twice; write it again");
  contents_ = std::move(contents);
}

const TensorEntry* TensorFile::find(std::string_view name) const {
  const auto found = contents_->index.find(name);
  return found == contents_->index.end() ? nullptr : found->second;
}

void TensorFile::release_pages(const TensorView& view) const {
  contents_->memory->file.release_pages(view.data, view.bytes());
}

TensorFile open_tensor_file(const std::string& path) {
  const std::string start = [&] {
    const MappedFile file(path);
    return std::string(file.text().substr(0, 64));
  }();
  check(!start.starts_with("version https://git-lfs"), "'", path,
        "' is a Git LFS pointer and not the weights; run `git lfs pull` in its folder");
  if (looks_like_torch_file(start)) return read_torch_file(path);
  const bool safetensors = path.ends_with(".safetensors") || (start.size() > 8 && start[8] == '{');
  return safetensors ? read_safetensors(path) : read_torch_file(path);
}

}  // namespace tenon
