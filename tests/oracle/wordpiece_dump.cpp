// The Tenon side of wordpiece_exact.py: tokenises records from standard input and writes their ids. Unlike
// lines of text they may hold any byte. A record is a u32 count and so many bytes; an answer is a u32 count
// and so many i32 ids, [CLS] and [SEP] included.
#include <cstdint>
#include <iostream>
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

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw tenon::Error("usage: wordpiece_dump ENCODER < records");
  std::ios::sync_with_stdio(false);
  const auto tokenizer = tenon::WordPiece::load(argv[1]);
  tenon::WordPiece::Cache cache;
  for (std::string text; read_record(text);) write_ids(tokenizer.encode(text, 0, &cache));
  return 0;
} catch (const tenon::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
