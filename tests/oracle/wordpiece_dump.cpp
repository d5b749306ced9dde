// The Tenon side of wordpiece_exact.py and tools/baseline/bench_tokenizer.py: tokenises records from standard
// input and writes their ids, or with --time reads all records first and prints the seconds of one pass over
// them. A record is a u32 count and so many bytes; an answer is a u32 count and so many i32 ids, [CLS] and
// [SEP] included.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "models/text/wordpiece.h"

namespace {

bool read_record(std::string& text) {
  uint32_t size = 0;
  if (!std::cin.read(reinterpret_cast<char*>(&size), sizeof size)) return false;
  text.resize(size);
  return static_cast<bool>(std::cin.read(text.data(), size));
}

void write_ids(const std::vector<int32_t>& ids) {
  const auto count = static_cast<uint32_t>(ids.size());
  std::cout.write(reinterpret_cast<const char*>(&count), sizeof count);
  std::cout.write(reinterpret_cast<const char*>(ids.data()),
                  static_cast<std::streamsize>(count * sizeof ids[0]));
}

void time_one_pass(const tenon::WordPiece& tokenizer) {
  std::vector<std::string> texts;
  for (std::string text; read_record(text);) texts.push_back(text);
  const auto start = std::chrono::steady_clock::now();
  tenon::WordPiece::Cache cache;  // empty: its filling is part of the time
  size_t count = 0;
  for (const std::string& text : texts) count += tokenizer.encode(text, 0, &cache).size();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << "{\"seconds\": " << seconds.count() << ", \"ids\": " << count << "}\n";
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw tenon::Error("usage: wordpiece_dump ENCODER [--time] < records");
  std::ios::sync_with_stdio(false);
  const auto tokenizer = tenon::WordPiece::load(argv[1]);
  if (argc > 2) {
    time_one_pass(tokenizer);
    return 0;
  }
  tenon::WordPiece::Cache cache;
  for (std::string text; read_record(text);) write_ids(tokenizer.encode(text, 0, &cache));
  return 0;
} catch (const tenon::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
