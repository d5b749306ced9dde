// Tenon's side of tools/baseline/bench.py: a process that works only when asked. tools/baseline/worker.py
// says what is asked and answered, and what the input files hold.
#pragma once
#include <string>

namespace tenon {

struct WorkerOptions {
  std::string what;          // bert, gru or tokenize
  std::string input, model;  // a file of the case; a HuggingFace folder, which gru does not need
};

void serve_benchmark(const WorkerOptions& options);

}  // namespace tenon
