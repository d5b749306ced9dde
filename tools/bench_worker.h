// Tenon's side of tools/baseline/bench.py: a process that works only when asked. tools/baseline/worker.py
// says what is asked and answered, and what the input files hold.
#pragma once
#include <string>

#include "tools/commands.h"

namespace tenon {

struct WorkerOptions {
  std::string what;          // a work: bert, gru, epoch, tokenize, or an operation
  std::string input, model;  // its file; a HuggingFace folder, which operations and gru do not need
};

// compute.dtype is the precision; the other options have been applied.
void serve_benchmark(const WorkerOptions& options, const ComputeOptions& compute);

}  // namespace tenon
