// The Large Movie Review Dataset: {train,test}/{pos,neg}/<number>_<rating>.txt, as a folder or as the
// published archive, which is read as a stream and never unpacked. Other members (unsup, urls, README) are
// passed over.
#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "models/data/readers.h"

namespace tenon {
namespace {

constexpr std::string_view layout =
    "train/pos, train/neg, test/pos and test/neg with a .txt file for each review";

// The last of the parts of a path, which it loses.
std::string_view pop_part(std::string_view& path) {
  const size_t slash = path.rfind('/');
  const std::string_view part = path.substr(slash + 1);  // npos + 1 is 0
  path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  return part;
}

// Turns "any/top/train/pos/0_9.txt" into a review without text; nothing for files that are no labelled
// review.
std::optional<Review> review_at(std::string_view path) {
  const std::string_view file = pop_part(path), sentiment = pop_part(path), part = pop_part(path);
  const bool labelled = sentiment == "pos" || sentiment == "neg";
  if (!labelled || (part != "train" && part != "test")) return {};
  if (!file.ends_with(".txt") || file.starts_with('.')) return {};
  return Review{"", sentiment == "pos", str(part, '/', sentiment, '/', file)};
}

void add(Dataset& data, Review review) {
  auto& part = review.id.starts_with("train/") ? data.train : data.test;
  part.push_back(std::move(review));
}

class Archive {
 public:
  explicit Archive(const std::string& path) : path_(path), handle_(archive_read_new(), archive_read_free) {
    verify_gzip();
    archive_read_support_filter_gzip(handle_.get());
    archive_read_support_format_tar(handle_.get());
    // Reading on behind the last member to the end of the file is what shows a cut there.
    archive_read_set_option(handle_.get(), "tar", "read_concatenated_archives", "1");
    verify(archive_read_open_filename(handle_.get(), path.c_str(), 1 << 17));
  }

  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(handle_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    verify(code);
    return entry;
  }

  std::string text() {
    std::string text;
    char chunk[1 << 14];
    la_ssize_t count = 0;
    while ((count = archive_read_data(handle_.get(), chunk, sizeof chunk)) > 0)
      text.append(chunk, static_cast<size_t>(count));
    if (count < 0) verify(ARCHIVE_FATAL);
    return text;
  }

 private:
  // libarchive would take a tar without gzip as well, and calls a file of a few bytes unrecognized.
  void verify_gzip() const {
    char head[18];  // no gzip file is shorter (RFC 1952)
    std::ifstream file(path_, std::ios::binary);
    check(file.is_open(), "cannot open '", path_, "': ", std::strerror(errno));
    file.read(head, sizeof head);
    const std::string_view start(head, static_cast<size_t>(file.gcount()));
    check(std::string_view("\x1f\x8b").starts_with(start.substr(0, 2)), "'", path_, "' is not a gzip file");
    if (start.size() < sizeof head) fail_cut();
  }

  void verify(int code) const {
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN) return;
    const char* message = archive_error_string(handle_.get());
    // Without a message it is the gzip trailer that is missing.
    const std::string_view reason = message ? message : "truncated";
    if (reason.find("runcated") != std::string_view::npos) fail_cut();
    check(reason != "Unrecognized archive format", "'", path_,
          "' is a gzip file, but there is no tar archive in it");
    fail("'", path_, "' is damaged (", reason, "); copy or download it again");
  }

  [[noreturn]] void fail_cut() const { fail("'", path_, "' is cut short; copy or download it again"); }

  const std::string& path_;
  std::unique_ptr<archive, int (*)(archive*)> handle_;
};

}  // namespace

Dataset read_imdb_folder(const std::string& path) {
  namespace fs = std::filesystem;
  const bool inside = fs::is_directory(path + "/aclImdb");
  const fs::path top = inside ? fs::path(path) / "aclImdb" : fs::path(path);
  Dataset data;
  bool found = false;
  for (const char* folder : {"train/neg", "train/pos", "test/neg", "test/pos"}) {
    if (!fs::is_directory(top / folder)) continue;
    found = true;
    for (const auto& file : fs::directory_iterator(top / folder)) {
      auto review = review_at(file.path().generic_string());
      if (!review) continue;
      review->text = read_file(file.path().string());
      add(data, *std::move(review));
    }
  }
  check(found, "'", path, "' is not an aclImdb folder; it should hold ", layout);
  return data;
}

Dataset read_imdb_archive(const std::string& path) {
  Archive archive(path);
  Dataset data;
  while (archive_entry* entry = archive.next()) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char* name = archive_entry_pathname(entry);
    auto review = review_at(name ? name : "");
    if (!review) continue;
    review->text = archive.text();
    add(data, *std::move(review));
  }
  check(!data.train.empty() || !data.test.empty(), "'", path, "' is not an aclImdb archive; it should hold ",
        layout);
  return data;
}

}  // namespace tenon
