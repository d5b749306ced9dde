// tenon bench --device simt: what kernels do, counted, in place of how long they take; and what nvcc made of
// them, where tools/ptxas has written it down.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/bench.h"

namespace tenon {

// --static FILE, which is docs/benchmarks/ptxas.json where that exists.
void add_count_options(CLI::App& command, std::string& static_file);

// Prints a table for each case and writes the JSON file. An empty file's name: none. Throws
// where the build has no memory hooks.
void count_variants(const std::vector<BenchCase>& works, const std::string& static_file,
                    const std::string& json_file);

}  // namespace tenon
