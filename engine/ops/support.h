// What every file of engine/ops needs.
#pragma once
#include "engine/autograd.h"
#include "engine/ops.h"
#include "kernels/base/select.h"

namespace tenon {

inline Stream& stream_of(const Tensor& tensor) { return Stream::current(tensor.device()); }
inline Tensor empty_like(const Tensor& tensor) {
  return Tensor(tensor.shape(), tensor.dtype(), tensor.device());
}

// Statistics and other fp32 by-products are fp64 where the tensor is.
inline DType statistics_dtype(const Tensor& tensor) {
  return tensor.dtype() == DType::f64 ? DType::f64 : DType::f32;
}

inline void check_vector(std::string_view operation, std::string_view name, const Tensor& tensor,
                         int64_t size) {
  check(tensor.shape() == Shape{size}, operation, ": ", name, " must have the shape ", Shape{size}, ", not ",
        tensor.shape());
}

inline void check_matrix(std::string_view operation, std::string_view name, const Tensor& tensor) {
  check(tensor.shape().rank == 2, operation, ": ", name, " must be a matrix, not of shape ", tensor.shape());
}

inline void check_same(std::string_view operation, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), operation, ": the shapes ", a.shape(), " ",
        a.dtype(), " and ", b.shape(), " ", b.dtype(), " differ");
}

}  // namespace tenon
