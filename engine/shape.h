// The sizes of a tensor, a plain value.
#pragma once
#include <initializer_list>

#include "kernels/base/view.h"

namespace tenon {

struct Shape {
  int rank = 0;
  int64_t sizes[max_rank] = {};

  Shape() = default;
  Shape(std::initializer_list<int64_t> list) {
    check(list.size() <= max_rank, "a tensor has at most ", max_rank, " dimensions, not ", list.size());
    for (int64_t size : list) sizes[rank++] = size;
  }
  explicit Shape(const TensorView& view) : rank(view.rank) {
    for (int i = 0; i < rank; ++i) sizes[i] = view.shape[i];
  }

  // Negative indices count from the end.
  int64_t operator[](int dimension) const { return sizes[dimension < 0 ? rank + dimension : dimension]; }
  int64_t size() const {
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) count *= sizes[i];
    return count;
  }
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i)
      if (sizes[i] != other.sizes[i]) return false;
    return true;
  }
};

inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank; ++i) text += str(i ? ", " : "", shape.sizes[i]);
  return text + ")";
}

}  // namespace tenon
