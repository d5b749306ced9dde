// What read_dataset is made of: one reader for each kind of source. Internal to models/data.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "models/data/reviews.h"

namespace tenon {

// Fill train and test in no particular order; ids start at "train/" or "test/".
Dataset read_imdb_folder(const std::string& path);
Dataset read_imdb_archive(const std::string& path);

// RFC 4180 with a header line; the separator of a TSV is a tab, and nothing quotes it.
std::vector<Review> read_csv(const std::string& path, const Columns& columns);
std::vector<Review> read_tsv(const std::string& path, const Columns& columns);
std::vector<Review> read_json_lines(const std::string& path, const Columns& columns);

// Drops a UTF-8 byte order mark.
std::string_view without_bom(std::string_view text);

// 0/1, neg/pos, negative/positive, false/true in any case; `where` opens the message for all else (line_of).
int parse_label(std::string_view label, std::string_view where);

// "line 3 of 'path/x.csv'"
std::string line_of(int64_t line, std::string_view path);

}  // namespace tenon
