// Runs the built program, for the tests of what a person meets.
#pragma once
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "models/data/corpus.h"
#include "tests/catch.h"

namespace tenon::test {

struct Outcome {
  int code;
  std::string out, err;
};

inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The arguments as a shell would have them; before: shell commands for the same process ("ulimit -f 8;").
inline Outcome tenon_program(const std::string& arguments, const std::string& input = "",
                             const std::string& before = "") {
  const TemporaryFolder folder;
  write_text(folder / "in", input);
  // The table of tuned variants is none, not that of whoever runs the test.
  const std::string command = "TENON_TUNED=; export TENON_TUNED; " + before + " " TENON_PROGRAM " " +
                              arguments + " <" + (folder / "in").string() + " 2>" + (folder / "err").string();
  Outcome outcome{};
  std::FILE* pipe = popen(command.c_str(), "r");
  char chunk[4096];
  while (const size_t count = std::fread(chunk, 1, sizeof chunk, pipe)) outcome.out.append(chunk, count);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.err = read_text(folder / "err");
  return outcome;
}

// Of every step of a run.
inline std::vector<double> losses_of(const std::filesystem::path& run) {
  std::vector<double> losses;
  for (const std::string& line : lines_of(read_text(run / "metrics.jsonl")))
    if (const auto entry = nlohmann::json::parse(line); entry.contains("loss"))
      losses.push_back(entry["loss"]);
  return losses;
}

// A tiny BERT with 101 words and 24 positions.
inline std::string tiny_encoder() { return (data_folder() / "bert_gelu").string(); }

// A copy of it that a test may spoil.
inline std::filesystem::path copy_of_encoder(const TemporaryFolder& folder, const std::string& name) {
  std::filesystem::copy(data_folder() / name, folder / "encoder");
  return folder / "encoder";
}

// 160 generated reviews in a .jsonl file.
inline std::string tiny_reviews() {
  static const TemporaryFolder folder;
  const std::filesystem::path file = folder / "reviews.jsonl";
  if (!std::filesystem::exists(file)) write_json_lines(file.string(), generate_reviews(160, 1));
  return file.string();
}

// What a tiny training needs, but for --out; further options may be added.
inline std::string tiny_training(const std::string& encoder = tiny_encoder(),
                                 const std::string& data = tiny_reviews()) {
  return "train --encoder " + encoder + " --data " + data + " --hidden-size 8 --batch-size 8";
}

// A run that is trained once for each test program.
inline const std::filesystem::path& trained_run() {
  static const TemporaryFolder folder;
  static const std::filesystem::path run = folder / "run";
  if (!std::filesystem::exists(run)) {
    const Outcome training = tenon_program(tiny_training() + " --epochs 2 --out " + run.string());
    INFO(training.err);
    REQUIRE(training.code == 0);
  }
  return run;
}

}  // namespace tenon::test
