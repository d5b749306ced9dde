// Numbers of one tensor as three sides have them, and whether rounding explains that they differ.
#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace tenon {

using Values = std::vector<double>;

Values values_of(const Tensor& tensor);  // any floating type, any device
double largest(const Values& values);
double largest_difference(const Values& a, const Values& b);  // infinite if anything is NaN
void accumulate(Values& sum, const Values& term);             // an empty sum becomes the term

inline constexpr double unit_fp32 = 0x1p-24, unit_tf32 = 0x1p-11, unit_bf16 = 0x1p-9;

// One tensor as an operation has it in fp64, and what becomes of it when every operand changes by a random
// share of at most unit_fp32: how far rounding can be heard.
struct Reference {
  Values exact, perturbed;
  bool has_long_sums = false;  // a product, or a gradient

  // The largest error that is put down to rounding with this unit (docs/numerics.md).
  double allowed(double unit) const;
};

struct Explanation {
  std::string cause;
  double remaining = 0;  // largest error that is left
};

// Causes that can be read off the numbers themselves: bf16 or fp16, dropout, a factor, rows left out. Empty
// if none leaves an error that rounding explains.
Explanation explain_by_numbers(const Values& found, const Reference& reference, int64_t columns);

}  // namespace tenon
