// Chooses the reader, and checks what all kinds of sources must fulfil.
#include "models/data/reviews.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <utility>

#include "engine/io/sha256.h"
#include "kernels/base/error.h"
#include "models/data/readers.h"

namespace tenon {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

SourceKind kind_of(const std::string& path) {
  const auto status = std::filesystem::status(path);
  check(std::filesystem::exists(status), "there is no file or folder '", path, "'");
  if (std::filesystem::is_directory(status)) return SourceKind::folder;
  const std::string name = lower(path);
  if (name.ends_with(".tar.gz") || name.ends_with(".tgz")) return SourceKind::archive;
  if (name.ends_with(".csv")) return SourceKind::csv;
  if (name.ends_with(".tsv")) return SourceKind::tsv;
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson")) return SourceKind::jsonl;
  fail("'", path,
       "' is of no known kind; give an aclImdb folder, its .tar.gz, or a .csv, .tsv or .jsonl file");
}

Dataset read_as(SourceKind kind, const std::string& path, const Columns& columns) {
  switch (kind) {
    case SourceKind::folder:
      return read_imdb_folder(path);
    case SourceKind::archive:
      return read_imdb_archive(path);
    case SourceKind::csv:
      return {read_csv(path, columns), {}, {}};
    case SourceKind::tsv:
      return {read_tsv(path, columns), {}, {}};
    case SourceKind::jsonl:
      return {read_json_lines(path, columns), {}, {}};
  }
  fail("unknown kind of source");
}

// The order must not depend on the file system or on the archive.
void sort_by_id(std::vector<Review>& reviews, const std::string& path) {
  std::ranges::sort(reviews, {}, &Review::id);
  const auto twin = std::ranges::adjacent_find(reviews, {}, &Review::id);
  if (twin != reviews.end()) fail("'", path, "' holds the review ", twin->id, " twice");
}

void refuse_empty(const Review& review, SourceKind kind, const std::string& path) {
  if (review.text.find_first_not_of(" \t\r\n") != std::string::npos) return;
  const bool named = kind == SourceKind::folder || kind == SourceKind::archive;
  fail("the review ", named ? "" : "on line ", review.id, " of '", path,
       "' is empty; remove it or give it a text");
}

void append(Sha256& hash, const std::vector<Review>& reviews) {
  for (const Review& review : reviews)
    hash.update(str(review.id, '\t', review.label, '\t', review.text.size(), '\n')).update(review.text);
}

int64_t text_bytes(const std::vector<Review>& reviews) {
  int64_t bytes = 0;
  for (const Review& review : reviews) bytes += std::ssize(review.text);
  return bytes;
}

}  // namespace

std::string_view to_string(SourceKind kind) {
  constexpr std::string_view names[] = {"folder", "archive", "csv", "tsv", "jsonl"};
  return names[static_cast<int>(kind)];
}

Dataset read_dataset(const std::string& path, const Columns& columns) {
  const SourceKind kind = kind_of(path);
  Dataset data = read_as(kind, path, columns);
  check(!data.train.empty() || !data.test.empty(), "'", path, "' holds no reviews");
  for (auto* part : {&data.train, &data.test}) {
    if (kind == SourceKind::folder || kind == SourceKind::archive) sort_by_id(*part, path);
    for (const Review& review : *part) refuse_empty(review, kind, path);
  }
  if (kind == SourceKind::folder) {
    data.sources = {{path, kind, text_bytes(data.train) + text_bytes(data.test),
                     sha256_of_reviews(data.train, data.test)}};
  } else {
    const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path));
    data.sources = {{path, kind, bytes, sha256_of_file(path)}};
  }
  return data;
}

Dataset read_dataset(const std::string& path, const std::string& test_path, const Columns& columns) {
  Dataset data = read_dataset(path, columns);
  Dataset second = read_dataset(test_path, columns);
  data.test = std::move(second.test.empty() ? second.train : second.test);
  data.sources.push_back(std::move(second.sources.front()));
  return data;
}

std::string sha256_of_reviews(const std::vector<Review>& train, const std::vector<Review>& test) {
  Sha256 hash;
  append(hash, train);
  append(hash, test);
  return hash.hex();
}

int parse_label(std::string_view label, std::string_view where) {
  const std::string word = lower(label);
  if (word == "0" || word == "neg" || word == "negative" || word == "false") return 0;
  if (word == "1" || word == "pos" || word == "positive" || word == "true") return 1;
  fail(where, " has the label \"", label,
       "\", which is neither class; use 0 or 1, neg or pos, negative or positive, false or true");
}

std::string line_of(int64_t line, std::string_view path) { return str("line ", line, " of '", path, "'"); }

std::string_view without_bom(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

}  // namespace tenon
