#include "engine/precision.h"

#include "engine/ops.h"
#include "kernels/base/select.h"

namespace tenon {
namespace {
Precision current = Precision::fp32;
}

Precision parse_precision(std::string_view name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "tf32") return Precision::tf32;
  if (name == "bf16") return Precision::bf16;
  fail("unknown --dtype '", name, "'; use fp32, tf32 or bf16");
}

void set_precision(Precision precision) {
  current = precision;
  may_pass_over_forced(precision == Precision::bf16 ? std::optional(DType::f32) : std::nullopt);
}
Precision precision() { return current; }

std::vector<DType> element_types(Precision precision) {
  if (precision == Precision::bf16) return {DType::bf16, DType::f32};
  return {DType::f32};
}

Tensor to_activation_type(const Tensor& x) {
  return x.dtype() == DType::f32 && current == Precision::bf16 ? cast(x, DType::bf16) : x;
}

Tensor to_full_precision(const Tensor& x) { return x.dtype() == DType::f64 ? x : cast(x, DType::f32); }

}  // namespace tenon
