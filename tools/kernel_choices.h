// What selection says to the cases of an operation's contract, for `tenon kernels`.
#pragma once
#include <string>
#include <vector>

#include "kernels/base/registry.h"

namespace tenon {

struct CaseChoice {
  Device device;
  DType dtype;
  std::string name;  // of the case
  size_t variant;    // that is chosen; the number of them if none can run
  std::string why;   // forced, tuned or priority; or why none can
};

// For each device and element type that the operation has a variant for.
std::vector<CaseChoice> choices_of(const AnyOperation& operation);

// As a table with a line for cases that go alike, and what of the file of tuned ones is about this operation.
void print_choices(const AnyOperation& operation, const std::string& tuned_file);

}  // namespace tenon
