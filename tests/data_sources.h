// Small data sets that tests write for themselves.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::test {

using Files = std::vector<std::pair<std::string, std::string>>;  // name, bytes

inline void write(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// Five reviews of 27 bytes in all, and files that are none.
inline Files imdb_files() {
  return {{"train/pos/3_9.txt", "good <br />"}, {"train/neg/10_2.txt", "worse"},
          {"train/neg/0_1.txt", "bad"},         {"test/pos/0_10.txt", "fine"},
          {"test/neg/0_3.txt", "dull"},         {"train/unsup/0_0.txt", "unlabelled"},
          {"train/pos/urls.html", "no review"}, {"train/pos/._3_9.txt", "junk"},
          {"train/urls_pos.txt", "http://"},    {"README", "Large Movie Review"}};
}

inline void write_imdb(const std::filesystem::path& folder) {
  for (const auto& [name, bytes] : imdb_files()) write(folder / name, bytes);
}

// A .tar.gz whose members lie under aclImdb/, in this order.
inline void write_archive(const std::filesystem::path& path, const Files& files) {
  const auto top = path.parent_path() / "unpacked/aclImdb";
  std::string command = "tar -czf " + path.string() + " -C " + top.parent_path().string();
  for (const auto& [name, bytes] : files) {
    write(top / name, bytes);
    command += " aclImdb/" + name;
  }
  if (std::system(command.c_str()) != 0) throw std::runtime_error("tar failed: " + command);
  std::filesystem::remove_all(top.parent_path());
}

}  // namespace tenon::test
