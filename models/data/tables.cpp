// CSV as RFC 4180 has it (quotes, "" inside them, newlines inside them), and TSV as IANA's
// text/tab-separated-values: a line a record, no quotes. Both with a header line; LF or CRLF; a byte order
// mark and blank lines are passed over.
#include <algorithm>
#include <utility>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "models/data/readers.h"

namespace tenon {
namespace {

using Record = std::vector<std::string>;

class Table {
 public:
  Table(const std::string& path, char separator, bool quotes)
      : path_(path),
        bytes_(read_file(path)),
        rest_(without_bom(bytes_)),
        separator_(separator),
        quotes_(quotes) {}

  // False at the end of the file.
  bool next(Record& record) {
    while (skip_newline()) continue;
    start_ = line_;
    record.clear();
    if (rest_.empty()) return false;
    do record.push_back(quotes_ && rest_.starts_with('"') ? quoted() : plain());
    while (skip(separator_));
    skip_newline();
    return true;
  }

  // The line on which the last record began.
  int64_t start() const { return start_; }
  std::string where() const { return line_of(start_, path_); }

 private:
  std::string plain() {
    const char stops[] = {separator_, '\n'};
    std::string_view field = rest_.substr(0, rest_.find_first_of(std::string_view(stops, 2)));
    rest_.remove_prefix(field.size());
    if (field.ends_with('\r') && !rest_.starts_with(separator_)) field.remove_suffix(1);
    return std::string(field);
  }

  std::string quoted() {
    std::string field;
    skip('"');
    while (true) {
      const size_t end = rest_.find('"');
      check(end != std::string_view::npos, "a quoted field of the record on ", where(), " is never closed");
      line_ += std::ranges::count(rest_.substr(0, end), '\n');
      field += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!skip('"')) break;
      field += '"';
    }
    const bool ends = rest_.empty() || rest_.starts_with(separator_) || rest_.starts_with('\n') ||
                      rest_.starts_with("\r\n");
    check(ends, "text follows the closing quote of a field of the record on ", where(),
          "; a quote inside is written twice");
    return field;
  }

  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool skip_newline() {
    const size_t size = rest_.starts_with("\r\n") ? 2 : rest_.starts_with('\n');
    rest_.remove_prefix(size);
    line_ += size > 0;
    return size > 0;
  }

  const std::string& path_;
  const std::string bytes_;
  std::string_view rest_;
  const char separator_;
  const bool quotes_;
  int64_t line_ = 1, start_ = 1;
};

size_t column(const Record& header, const std::string& name, std::string_view flag, const std::string& path) {
  const auto found = std::ranges::find(header, name);
  if (found != header.end()) return static_cast<size_t>(found - header.begin());
  std::string names;
  for (const std::string& other : header) names += (names.empty() ? "" : ", ") + other;
  fail("'", path, "' has no column \"", name, "\" but ", names, "; name one of them with ", flag);
}

std::vector<Review> read_table(const std::string& path, const Columns& columns, char separator, bool quotes) {
  Table table(path, separator, quotes);
  Record record;
  if (!table.next(record)) return {};
  const size_t width = record.size();
  const size_t text = column(record, columns.text, "--text-column", path);
  const size_t label = column(record, columns.label, "--label-column", path);
  std::vector<Review> reviews;
  while (table.next(record)) {
    check(record.size() == width, table.where(), " has ", record.size(), " fields, but the header line has ",
          width, separator == ',' ? "; a text with commas belongs in quotes" : "");
    const int sentiment = parse_label(record[label], table.where());
    reviews.push_back({std::move(record[text]), sentiment, str(table.start())});
  }
  return reviews;
}

}  // namespace

std::vector<Review> read_csv(const std::string& path, const Columns& columns) {
  return read_table(path, columns, ',', true);
}

std::vector<Review> read_tsv(const std::string& path, const Columns& columns) {
  return read_table(path, columns, '\t', false);
}

}  // namespace tenon
