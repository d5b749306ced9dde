// What `tenon bench` is asked to work on.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "kernels/base/timing.h"

namespace tenon {

struct BenchCase {
  const AnyOperation* operation;
  DType dtype;
  AnyCase of;
};

struct BenchChoice {
  std::vector<std::string> operations, shapes;
  std::string case_name, dtype = "f32", file;
  bool backward = false;

  void add_to(CLI::App& command);

  // Cases of the named operations, or all: by name or shape, else the model's own shapes, which are marked as
  // large (but not on simt), else the costliest. Throws if there is none.
  std::vector<BenchCase> works(Device device) const;
  DType element_type() const;
};

// Those that a source file registers, and the default beside them; empty, which is all, without a file.
std::vector<Contender> contenders_from(const std::string& file, const BenchCase& work, Device device);

// One launch and nothing else on the device: OP/VARIANT/CASE, or OP/VARIANT of the only shape of the choice.
void run_once(const std::string& what, const BenchChoice& choice, Device device);

}  // namespace tenon
