// The table of what measuring has found: which variant to choose for arguments of one element type and of
// like sizes. Selection asks it before it goes by priority; it is empty until use_tuned() is called.
#pragma once
#include <string>
#include <vector>

#include "kernels/base/device.h"
#include "kernels/base/op.h"

namespace tenon {

class AnyOperation;

struct TunedChoice {
  std::string operation;
  Device device;
  DType dtype;        // Op::dtype() of the arguments
  std::string shape;  // as shape_bucket() says it
  std::string variant;
};

// The shapes of the arguments with each size rounded up to a power of two, "1024x768" being "1024x1024", in
// the order of the contract and each shape once: "1024x1024 4096x1024 4096". Arguments of more than 24 views
// (an optimiser's) go by the number of their elements: "134217728 elements".
std::string shape_bucket(const NamedViews& inputs, const NamedViews& outputs);

// Replaces the table. Returns "op=variant,…" of the choices that this build lacks; they are no part of it.
std::string use_tuned(std::vector<TunedChoice> choices);
const std::vector<TunedChoice>& tuned_choices();

// The variant for these arguments; empty if the table has none. Valid until the next use_tuned().
std::string_view tuned_variant(const AnyOperation& operation, Device device, DType dtype,
                               const NamedViews& inputs, const NamedViews& outputs);
bool is_tuned(const AnyOperation& operation);  // whether the table has a choice for any of its arguments

}  // namespace tenon
