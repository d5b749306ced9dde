// What reading a file of named tensors gives, whichever its format: views of host memory, mapped from the
// file where its layout allows, and copied where it does not.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"
#include "kernels/base/view.h"

namespace tenon {

struct TensorEntry {
  std::string name;
  TensorView view;  // contiguous, in host memory, aligned to its element; mapped memory is read-only. A
                    // scalar has rank 0.
};

// The memory behind the views of one file.
struct FileMemory {
  explicit FileMemory(const std::string& path) : file(path) {}

  MappedFile file;
  std::vector<std::unique_ptr<std::byte[]>> copies;

  // Fresh memory that lives as long as the map does.
  std::byte* allocate(size_t count);
  // The same bytes at an address that is a multiple of alignment: in place where possible, a copy otherwise.
  void* aligned(const std::byte* data, size_t count, size_t alignment);
};

using Metadata = std::map<std::string, std::string>;

// A cheap handle to an open file; the views stay valid while it, a copy of it or its memory() lives.
class TensorFile {
 public:
  // Names must be unique; the first that is not is an error.
  TensorFile(std::shared_ptr<const FileMemory> memory, std::vector<TensorEntry> entries, Metadata metadata);

  const std::string& path() const { return contents_->memory->file.path(); }
  const std::vector<TensorEntry>& entries() const { return contents_->entries; }  // in the order of the file
  const Metadata& metadata() const { return contents_->metadata; }
  const TensorEntry* find(std::string_view name) const;  // null where the file has no such tensor

  // Keeps the views alive without this handle.
  std::shared_ptr<const void> memory() const { return contents_->memory; }
  // Gives back the resident pages of a mapped view, for weights that were copied or packed elsewhere. They
  // are read again when touched. Does nothing for copied views.
  void release_pages(const TensorView& view) const;

 private:
  struct Contents {
    std::shared_ptr<const FileMemory> memory;
    std::vector<TensorEntry> entries;
    Metadata metadata;
    std::map<std::string_view, const TensorEntry*> index;
  };
  std::shared_ptr<const Contents> contents_;
};

// Opens a safetensors file or what torch.save wrote, told apart by content; the suffix decides where that
// says nothing.
TensorFile open_tensor_file(const std::string& path);

}  // namespace tenon
