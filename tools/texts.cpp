#include "tools/texts.h"

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"

namespace tenon {
namespace {

std::string text_of(const std::string& line, const std::string& name, size_t number) {
  const auto parsed = nlohmann::json::parse(line, nullptr, false);
  check(parsed.is_object() && parsed.contains("text") && parsed["text"].is_string(), name, ", line ", number,
        ": expected a JSON object with a string \"text\"");
  return parsed["text"].get<std::string>();
}

std::vector<std::string> read_lines(std::istream& in, const std::string& name, bool jsonl) {
  std::vector<std::string> texts;
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    texts.push_back(jsonl ? text_of(line, name, number) : line);
  }
  return texts;
}

}  // namespace

void TextSource::add_to(CLI::App& command) {
  command.add_option("TEXT", arguments, "Texts; without them and without --file, lines of standard input");
  command.add_option("--file", file, "A file with a text a line");
}

std::vector<std::string> TextSource::read() const {
  std::vector<std::string> texts = arguments;
  if (!file.empty()) {
    std::ifstream in(file);
    check(in.is_open(), "cannot read --file ", file, "; does it exist?");
    for (std::string& text : read_lines(in, file, jsonl)) texts.push_back(std::move(text));
  } else if (texts.empty()) {
    texts = read_lines(std::cin, "standard input", jsonl);
  }
  check(!texts.empty(), "there is no text; give one as an argument, with --file, or on standard input");
  return texts;
}

}  // namespace tenon
