// What the tests of file readers share: a folder that goes away, hand-made bytes, and a deterministic
// byte-flip fuzz.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>

#include "engine/io/tensor_file.h"
#include "kernels/base/error.h"
#include "tests/catch.h"

namespace tenon {

// Writes a file of the folder and returns its path.
inline std::string put(const test::TemporaryFolder& folder, const std::string& name,
                       const std::string& content) {
  const std::string path = folder / name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

inline auto files_in(const test::TemporaryFolder& folder) {
  const std::filesystem::directory_iterator entries(folder.path());
  return std::distance(begin(entries), end(entries));
}

// A value as the little-endian bytes of a file.
template <class T>
std::string bytes_of(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

// The message of the tenon::Error that body throws, or "" when it throws none.
inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Fails the test unless body throws an Error of one line which has this part.
inline void expect_error(const std::string& part, const std::function<void()>& body) {
  const std::string message = error_of(body);
  INFO("expected: " << part);
  INFO("thrown: " << message);
  CHECK(message.find(part) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

// One to three bytes changed, cut, removed or doubled.
inline std::string mutated(std::string bytes, std::mt19937& random) {
  for (unsigned changes = 1 + random() % 3; changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random() % bytes.size();
    switch (random() % 8) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.erase(at, 1 + random() % 4);
        break;
      case 2:
        bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 16));
        break;
      case 3:
        bytes[at] = static_cast<char>(random() % 2 ? 0xff : 0x7f);
        break;
      case 4:
        bytes[at] = static_cast<char>(random());
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
    }
  }
  return bytes;
}

// A file without a disk, for thousands of them.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& content) : descriptor_(memfd_create("tenon-test", 0)) {
    check(write(descriptor_, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
          "cannot write a file in memory");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return str("/proc/self/fd/", descriptor_); }

 private:
  int descriptor_;
};

// Reads a file of these bytes and every byte of the tensors it gives. Returns false where an Error refused
// it.
inline bool read_or_refuse(const std::string& bytes, TensorFile (*read)(const std::string& path)) {
  const MemoryFile memory(bytes);
  try {
    const TensorFile file = read(memory.path());
    for (const TensorEntry& entry : file.entries())
      for (size_t at = 0; at < entry.view.bytes(); ++at) (void)entry.view.as<volatile char>()[at];
  } catch (const Error&) {
    return false;
  }
  return true;
}

// Reads mutants of a valid file, always the same ones; any exception but an Error, and any bad access, fails
// the test. Returns how many mutants were refused.
inline int fuzz_reader(const std::string& valid, int mutants, TensorFile (*read)(const std::string& path)) {
  std::mt19937 random(20240607);
  int refused = 0;
  for (int i = 0; i < mutants; ++i) {
    INFO("mutant " << i);
    refused += !read_or_refuse(mutated(valid, random), read);
  }
  return refused;
}

}  // namespace tenon
