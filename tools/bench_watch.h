// tenon bench --watch FILE: builds and shows verified figures of a source file's variants again whenever it
// is saved.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace tenon {

struct WatchOptions {
  std::string file, build;  // build: the folder that CMake configured; empty: where this program was built

  void add_to(CLI::App& command);
};

// Returns when interrupted. The other arguments of this process go to each bench.
void watch_file(const WatchOptions& options);

}  // namespace tenon
