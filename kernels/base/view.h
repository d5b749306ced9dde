// A TensorView is all a kernel sees of a tensor: pointer, element type, shape and strides. It goes by value.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>

#include "kernels/base/dtype.h"

namespace tenon {

inline constexpr int max_rank = 5;

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  int64_t shape[max_rank] = {};
  int64_t stride[max_rank] = {};  // in elements; the last one is 1 unless an operation says otherwise

  TensorView() = default;
  // A contiguous view; data may be null for an absent optional tensor or a shape still without memory.
  TensorView(void* data, DType dtype, std::initializer_list<int64_t> sizes) : data(data), dtype(dtype) {
    for (int64_t size : sizes) shape[rank++] = size;
    set_contiguous();
  }

  int64_t size() const {
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) count *= shape[i];
    return count;
  }
  size_t bytes() const { return static_cast<size_t>(size()) * size_of(dtype); }
  bool defined() const { return rank > 0; }  // an absent optional tensor has rank 0
  bool contiguous() const {
    int64_t expected = 1;
    for (int i = rank - 1; i >= 0; expected *= shape[i--])
      if (shape[i] != 1 && stride[i] != expected) return false;
    return true;
  }
  void set_contiguous() {
    int64_t next = 1;
    for (int i = rank - 1; i >= 0; next *= shape[i--]) stride[i] = next;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

inline std::string to_string(const TensorView& view) {
  std::string text = "(";
  for (int i = 0; i < view.rank; ++i) text += str(i ? ", " : "", view.shape[i]);
  return str(text, ") ", view.dtype);
}

}  // namespace tenon
