// Training through the program: stopping and continuing, threads, recipes. Runs that must be the same are
// compared bit for bit.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

Outcome train(const fs::path& run, const std::string& options) {
  Outcome outcome = tenon_program(tiny_training() + " --out " + run.string() + " " + options);
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  return outcome;
}

bool same_model(const fs::path& a, const fs::path& b) {
  const std::string bytes = read_text(a / "model.safetensors");
  return !bytes.empty() && bytes == read_text(b / "model.safetensors");
}

// Without what a clock has measured.
std::vector<json> metrics(const fs::path& run) {
  std::vector<json> lines;
  for (const std::string& line : lines_of(read_text(run / "metrics.jsonl"))) {
    lines.push_back(json::parse(line));
    lines.back().erase("tokens_per_second");
    lines.back().erase("seconds");
  }
  return lines;
}

// Starts a training and sends it SIGINT once it has done some steps; returns its exit code.
int interrupted_training(const fs::path& run, const std::string& options, size_t steps) {
  const std::string command =
      "exec " TENON_PROGRAM " " + tiny_training() + " --out " + run.string() + " " + options + " >/dev/null";
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  for (int waited = 0; waited < 6000; ++waited) {
    if (lines_of(read_text(run / "metrics.jsonl")).size() >= steps) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("Ctrl-C saves, and the resumed run has the bits of one without a break") {
  const TemporaryFolder folder;
  const std::string options = "--epochs 12 --schedule linear --warmup-steps 5 --clip-norm 1";
  train(folder / "whole", options);
  CHECK(interrupted_training(folder / "broken", options, 20) == 0);
  REQUIRE(!fs::exists(folder / "broken" / "model.safetensors"));  // else it came too late
  const size_t before = metrics(folder / "broken").size();
  CHECK(before >= 20);
  train(folder / "broken", options + " --resume");
  CHECK(metrics(folder / "broken") == metrics(folder / "whole"));
  CHECK(metrics(folder / "broken").size() > before);
  CHECK(same_model(folder / "whole", folder / "broken"));
}

TEST_CASE("a profiled run that was stopped resumes with or without its profile, with the same bits") {
  const TemporaryFolder folder;
  train(folder / "whole", "--epochs 8");
  CHECK(interrupted_training(folder / "broken", "--epochs 8 --profile", 15) == 0);
  REQUIRE(!fs::exists(folder / "broken" / "model.safetensors"));
  CHECK(fs::exists(folder / "broken" / "profile.json"));
  fs::copy(folder / "broken", folder / "again", fs::copy_options::recursive);
  train(folder / "broken", "--epochs 8 --resume");
  train(folder / "again", "--epochs 8 --resume --profile");
  CHECK(metrics(folder / "broken") == metrics(folder / "whole"));
  CHECK(metrics(folder / "again") == metrics(folder / "whole"));
  CHECK(same_model(folder / "whole", folder / "again"));
}

TEST_CASE("a fine-tuned run resumes with the same bits") {
  const TemporaryFolder folder;
  const std::string options = "--epochs 6 --fine-tune --optimizer adamw --weight-decay 0.01";
  train(folder / "whole", options);
  CHECK(interrupted_training(folder / "broken", options, 10) == 0);
  REQUIRE(!fs::exists(folder / "broken" / "model.safetensors"));
  train(folder / "broken", options + " --resume");
  CHECK(same_model(folder / "whole", folder / "broken"));
}

TEST_CASE("the number of threads does not change a bit") {
  const TemporaryFolder folder;
  train(folder / "one", "--epochs 2 --threads 1 --fine-tune");
  train(folder / "two", "--epochs 2 --threads 2 --fine-tune");
  train(folder / "five", "--epochs 2 --threads 5 --fine-tune");
  CHECK(metrics(folder / "one") == metrics(folder / "two"));
  CHECK(same_model(folder / "one", folder / "two"));
  CHECK(same_model(folder / "one", folder / "five"));
}

TEST_CASE("another seed gives another model") {
  const TemporaryFolder folder;
  train(folder / "other", "--epochs 2 --seed 4");
  CHECK(!same_model(folder / "other", trained_run()));
}

TEST_CASE("cached features give the same model as computing them again") {
  const TemporaryFolder folder;
  train(folder / "memory", "--epochs 2 --cache-features");
  train(folder / "file", "--epochs 2 --cache-features " + (folder / "features.bin").string());
  CHECK(fs::file_size(folder / "features.bin") > 0);
  CHECK(same_model(folder / "memory", folder / "file"));
  train(folder / "again", "--epochs 2 --cache-features " + (folder / "features.bin").string());
  CHECK(same_model(folder / "memory", folder / "again"));
}

TEST_CASE("the tutorial's recipe runs, and also prints accuracy as the mean over batches") {
  const TemporaryFolder folder;
  const Outcome training = train(folder / "run", "--recipe tutorial --epochs 1");
  CHECK(training.out.find("mean over batches") != std::string::npos);
  const json settings = json::parse(read_text(folder / "run" / "settings.json"));
  CHECK(settings["pad_batches"] == true);
  CHECK(settings["encoder_dropout"] == true);
  CHECK(settings["batches"] == "random");
  CHECK(tenon_program("predict " + (folder / "run").string() + " 'a great film'").code == 0);
}

TEST_CASE("a training learns what its reviews say") {
  const TemporaryFolder folder;
  std::string reviews;
  for (int i = 0; i < 120; ++i) {
    const std::string filler = i % 3 ? "it was a movie with a plot and " : "the film : ";
    reviews += "{\"text\": \"" + filler +
               (i % 2 ? "loved great good\", \"label\": 1}\n" : "hated bad terrible\", \"label\": 0}\n");
  }
  write_text(folder / "reviews.jsonl", reviews);
  const Outcome training = tenon_program(tiny_training(tiny_encoder(), (folder / "reviews.jsonl").string()) +
                                         " --epochs 8 --lr 0.01 --out " + (folder / "run").string());
  INFO(training.err);
  REQUIRE(training.code == 0);
  CHECK(metrics(folder / "run").back()["test_accuracy"] == 1.0);
  const std::string out = tenon_program("predict " + (folder / "run").string() +
                                        " 'the film : loved great good' 'the film : hated bad terrible'")
                              .out;
  CHECK(lines_of(out)[0].starts_with("positive"));
  CHECK(lines_of(out)[1].starts_with("negative"));
}
