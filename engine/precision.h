// In which element types a run computes: one setting of the whole process. Parameters, their gradients and
// the optimiser's state are fp32 in all of them, and so are the statistics of norms, all sums, and losses.
#pragma once
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace tenon {

enum class Precision : uint8_t {
  fp32,
  tf32,  // fp32, but kernels may round the operands of products to tf32 (10 bits of mantissa)
  bf16,  // activations are bf16, and parameters become so where they meet them
};

Precision parse_precision(std::string_view name);
void set_precision(Precision precision);
Precision precision();
std::vector<DType> element_types(Precision precision);  // in which operations run

// fp32 activations in the type that this precision has for them; fp64 stays.
Tensor to_activation_type(const Tensor& x);
// Back to fp32, for losses and files; fp64 stays.
Tensor to_full_precision(const Tensor& x);

}  // namespace tenon
