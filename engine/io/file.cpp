// Memory maps and crash-safe writes on POSIX files.
#include "engine/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "kernels/base/error.h"

namespace tenon {
namespace {

std::string describe(int error) { return std::generic_category().message(error); }

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Renames are on the disk only once their folder is; file systems that cannot sync a folder say EINVAL.
void sync_folder(const std::string& folder) {
  const Descriptor descriptor{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (descriptor.value >= 0 && ::fsync(descriptor.value) != 0 && errno != EINVAL)
    fail("cannot sync the folder '", folder, "': ", describe(errno));
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer before it is refused.
  const Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (descriptor.value < 0) fail("cannot open '", path, "': ", describe(errno));
  struct stat status {};
  if (::fstat(descriptor.value, &status) != 0) fail("cannot examine '", path, "': ", describe(errno));
  check(!S_ISDIR(status.st_mode), "'", path, "' is a folder; give the path of a file");
  check(S_ISREG(status.st_mode), "'", path, "' is not a regular file; copy its content to one first");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor.value, 0);
  if (map == MAP_FAILED) fail("cannot map '", path, "' into memory: ", describe(errno));
  data_ = static_cast<std::byte*>(map);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

void MappedFile::release_pages(const void* begin, size_t count) const {
  const auto first = reinterpret_cast<uintptr_t>(begin);
  const auto start = reinterpret_cast<uintptr_t>(data_);
  if (!data_ || first < start || first - start > size_ || count > size_ - (first - start)) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t from = (first + page - 1) / page * page;
  const uintptr_t to = (first + count) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

std::string read_file(const std::string& path) { return std::string(MappedFile(path).text()); }

AtomicFile::AtomicFile(std::string path, size_t bytes_needed)
    : path_(std::move(path)), bytes_needed_(bytes_needed) {
  struct stat status {};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  check(!exists || !S_ISDIR(status.st_mode), "cannot write '", path_,
        "': it is a folder; give the path of a file");
  check(!exists || S_ISREG(status.st_mode), "cannot write '", path_, "': it is not a regular file");
  static std::atomic<unsigned> serial = 0;
  temporary_ = str(path_, ".tmp-", ::getpid(), "-", serial++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_with(errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail_with(int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  if (full)
    fail("cannot write '", path_, "': ", describe(error), "; it needs ", bytes_needed_,
         " bytes, so free some space or choose another folder");
  fail("cannot write '", path_, "': ", describe(error), error == ENOENT ? "; create its folder first" : "");
}

void AtomicFile::write(const void* data, size_t count) {
  const char* next = static_cast<const char*>(data);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min(count, size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_with(written < 0 ? errno : EIO);
    next += written;
    count -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_with(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
  ::close(std::exchange(descriptor_, -1));
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path, bytes.size());
  file.write(bytes);
  file.commit();
}

}  // namespace tenon
