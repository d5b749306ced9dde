// The subcommands of the `tenon` program; each file adds its own to the command line.
#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

namespace tenon {

void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_encode(CLI::App& program);
void add_tokenize(CLI::App& program);
void add_inspect(CLI::App& program);
void add_convert(CLI::App& program);
void add_kernels(CLI::App& program);
void add_generate(CLI::App& program);
void add_bench(CLI::App& program);
void add_compare(CLI::App& program);

// Options that every command which computes has.
struct ComputeOptions {
  std::string device = "cpu", dtype = "fp32";
  std::string kernels;  // "op=variant,…"
  int threads = 0;      // 0: all cores

  void add_to(CLI::App& command);
  void add_dtype_to(CLI::App& command);  // of those that run a model
  void add_kernel_to(CLI::App& command);
  void apply() const;
  void force_variants() const;
  // Once the work is done: throws for a forced variant that no call could use, and notes those that none
  // asked for.
  void check_forced_variants() const;

 private:
  bool runs_model_ = false;
};

// Runs what checks the command line alone: its tenon::Error then counts as wrong usage, exit code 2.
void as_usage(const std::function<void()>& body);

// One line on standard error if a file names variants, "op=variant,…", that this build lacks.
void note_lacking(const std::string& file, const std::string& variants);

// One line on standard error for the tensors of a folder that its model has no place for.
void note_unexpected(const std::string& folder, const std::vector<std::string>& tensors);

// Set by Ctrl-C; a second one ends the program at once.
const std::atomic<bool>& interrupted();
void watch_for_interrupt();

}  // namespace tenon
