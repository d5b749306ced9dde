// tenon bench --against pytorch: hands over to tools/baseline/bench.py, which runs Tenon and its peers side
// by side.
#pragma once
#include <string>
#include <vector>

#include "tools/commands.h"

namespace tenon {

struct AgainstOptions {
  std::string peer;         // pytorch; empty: no comparison is wanted
  std::string data, sides;  // of the reviews; "tenon,compile", empty: all
  int rounds = 0;           // 0: as many as fit into the time of a case

  void add_to(CLI::App& command);
};

// Replaces this process, so it does not return. Throws where the scripts of tools/baseline cannot be found.
[[noreturn]] void bench_against(const AgainstOptions& options, const ComputeOptions& compute,
                                const std::vector<std::string>& works, const std::string& model,
                                const std::string& json_file);

}  // namespace tenon
