// Where predict, encode and tokenize take their texts from: arguments, a file, or standard input.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace tenon {

struct TextSource {
  std::vector<std::string> arguments;
  std::string file;    // a text a line
  bool jsonl = false;  // each line of the file or of standard input is a JSON object with "text"

  void add_to(CLI::App& command);
  // Throws for a file that cannot be read, a line that is no such JSON, or no text at all.
  std::vector<std::string> read() const;
};

}  // namespace tenon
