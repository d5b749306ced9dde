// Labelled reviews and where they come from: an aclImdb folder (Maas et al. 2011), its .tar.gz, or a CSV, TSV
// or JSON-lines file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

struct Review {
  std::string text;  // the bytes of the source; the tokenizer deals with invalid UTF-8
  int label;         // 0 negative, 1 positive
  std::string id;    // "train/pos/0_9.txt" in a folder or archive, else the number of the line it starts on
};

enum class SourceKind { folder, archive, csv, tsv, jsonl };
std::string_view to_string(SourceKind);

struct Source {
  std::string path;
  SourceKind kind;
  int64_t bytes;       // of the file, or of all review files in the folder
  std::string sha256;  // of the file; of a folder sha256_of_reviews over train, then test
};

// Reviews stand in the order of their ids' bytes (folder, archive) or of their lines (other files).
struct Dataset {
  std::vector<Review> train;
  std::vector<Review> test;  // empty where the source has no test part
  std::vector<Source> sources;
};

// The columns of a CSV or TSV file, the keys of a JSON line.
struct Columns {
  std::string text = "text";
  std::string label = "label";
};

// Reads all of `path`, or throws Error with one sentence: nothing there, no known kind, no reviews, an empty
// review, an unknown label, a file cut short, a line that breaks the format. The kind is told from the name:
// a folder, .tar.gz or .tgz, .csv, .tsv, .jsonl or .ndjson.
Dataset read_dataset(const std::string& path, const Columns& columns = {});

// The same with the test part taken from a second source: its test part, or all of it where it has none.
Dataset read_dataset(const std::string& path, const std::string& test_path, const Columns& columns);

// SHA-256 over "<id>\t<label>\t<bytes of text>\n<text>" for each review in turn.
std::string sha256_of_reviews(const std::vector<Review>& train, const std::vector<Review>& test = {});

}  // namespace tenon
