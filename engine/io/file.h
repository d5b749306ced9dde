// Files as bytes: whole reads, read-only memory maps, and writes that a crash or a full disk cannot leave
// half done. Every error is a tenon::Error that names the file and what the system said.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tenon {

// A regular file mapped read-only: writing through the pointer is a segmentation fault. An empty file has
// size 0.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Gives back the whole pages inside a range of the map; they are read again from the file when touched.
  // A range outside of the map is left alone.
  void release_pages(const void* begin, size_t count) const;

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

std::string read_file(const std::string& path);

// A file that appears under its name, whole and on the disk, or not at all: bytes go into a temporary file
// beside it, which commit() syncs and renames. Without a commit() the destructor removes the temporary file.
class AtomicFile {
 public:
  // bytes_needed only completes the message when the disk is full.
  AtomicFile(std::string path, size_t bytes_needed);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  [[noreturn]] void fail_with(int error) const;

  std::string path_, temporary_;
  size_t bytes_needed_;
  int descriptor_ = -1;
};

void write_file_atomically(const std::string& path, std::string_view bytes);

}  // namespace tenon
