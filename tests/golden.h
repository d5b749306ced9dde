// What the tests that compare kernels with PyTorch's results share: host memory for views, and the measure.
#pragma once
#include <cmath>
#include <cstring>
#include <deque>

#include "engine/io/safetensors.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "tests/catch.h"

namespace tenon::test {

inline TensorFile golden_file(const std::string& name) {
  return read_safetensors((data_folder() / (name + ".safetensors")).string());
}

inline TensorView golden(const TensorFile& file, const std::string& name) {
  const TensorEntry* entry = file.find(name);
  check(entry != nullptr, file.path(), " has no tensor ", name);
  return entry->view;
}

inline double element(const TensorView& view, int64_t i) {
  return view.dtype == DType::f64 ? view.as<double>()[i] : double{view.as<float>()[i]};
}

// Memory on the host that lives as long as the test.
class Arena {
 public:
  TensorView zeros(TensorView shape, DType dtype) {
    shape.dtype = dtype;
    shape.set_contiguous();
    shape.data = buffers_.emplace_back(Device::cpu, shape.bytes()).data();
    if (shape.bytes()) std::memset(shape.data, 0, shape.bytes());
    return shape;
  }
  // A copy of floating numbers in another type; f64 to f32 rounds.
  TensorView copy(const TensorView& view, DType dtype) {
    const TensorView result = zeros(view, dtype);
    for (int64_t i = 0; i < view.size(); ++i)
      if (dtype == DType::f64)
        result.as<double>()[i] = element(view, i);
      else
        result.as<float>()[i] = static_cast<float>(element(view, i));
    return result;
  }

 private:
  std::deque<Buffer> buffers_;
};

// Largest error over largest reference value; infinite if anything is NaN.
inline double error(const TensorView& view, const TensorView& reference) {
  REQUIRE(view.size() == reference.size());
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < view.size(); ++i) {
    const double difference = std::fabs(element(view, i) - element(reference, i));
    worst = difference <= INFINITY ? std::max(worst, difference) : INFINITY;
    largest = std::max(largest, std::fabs(element(reference, i)));
  }
  return largest > 0 ? worst / largest : worst;
}

// 1e-5 in fp32, 1e-10 in fp64.
inline double parity(DType dtype) { return dtype == DType::f64 ? 1e-10 : 1e-5; }

// Calls body(variant) for every variant on the CPU that takes the type and can run here.
template <Operation Op, class Body>
void for_each_variant(DType dtype, const Body& body) {
  for (const Entry<Op>& entry : entries<Op>()) {
    const Variant<Op>& variant = entry.variant;
    if (variant.device != Device::cpu || !entry.info->takes(dtype)) continue;
    if (variant.available && !variant.available()) continue;
    INFO(Op::name << "/" << variant.name << "/" << to_string(dtype));
    body(variant);
  }
}

}  // namespace tenon::test
