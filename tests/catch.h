// Catch2, version 2 or 3, and the one way in which a test says that it could not run here.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

// Ends the test. tools/test collects these lines and prints how many there were and which.
#define SKIPPED(reason)                                                                               \
  do {                                                                                                \
    std::printf("SKIPPED: %s: %s\n", Catch::getResultCapture().getCurrentTestName().c_str(), reason); \
    std::fflush(stdout);                                                                              \
    SUCCEED("skipped");                                                                               \
    return;                                                                                           \
  } while (false)

namespace tenon::test {

inline std::filesystem::path data_folder() { return TENON_SOURCE_DIR "/tests/data"; }

// The folder of real data that is not part of the project: TENON_SHARED_DATA, else beside the checkout.
inline std::filesystem::path shared_data() {
  if (const char* folder = std::getenv("TENON_SHARED_DATA")) return folder;
  return TENON_SOURCE_DIR "/../shared/data";
}

// A fresh folder that is removed at the end of its scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tenon-test-").string();
    pattern += std::string(6, 'X');  // what mkdtemp replaces
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tenon::test
