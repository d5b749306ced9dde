// How threads share a row: thread `member` of `members` takes every members-th vector of `width` elements. A
// row of at most `held` vectors a thread stays in registers after its first read; held = 0 stands for longer
// rows, which are read anew by each pass over them.
#pragma once
#include <initializer_list>

#include "kernels/simt/store_rounded.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Calls body(k, column) for each vector of this thread; unrolled, k is a constant where vectors are held.
template <int width, int held, int members, class Column, class Body>
__device__ inline void for_each_vector(Column columns, int member, const Body& body) {
  const Column first = member * width;
  if constexpr (held > 0) {
#pragma unroll
    for (int k = 0; k < held; ++k)
      if (first + k * members * width < columns) body(k, first + k * members * width);
  } else {
    for (Column column = first; column < columns; column += members * width) body(0, column);
  }
}

template <class T, int width, int held>
class HeldRow {
 public:
  __device__ const Vector<T, width>& read(int k, const T* source) {
    return vectors_[k] = load_vector<width>(source);
  }
  // Keeps what was computed; a row too long for registers goes to memory of the thread's own, for again().
  __device__ void put(int k, T* memory, const Vector<T, width>& values) {
    if constexpr (held > 0)
      vectors_[k] = values;
    else
      store_vector(memory, values);
  }
  __device__ Vector<T, width> again(int k, const T* source) const {
    if constexpr (held > 0)
      return vectors_[k];
    else
      return load_vector<width>(source);
  }

 private:
  Vector<T, width> vectors_[held > 0 ? held : 1];
};

// Sums over rows, of the columns that this thread takes: in registers, or in memory of the thread's own.
template <int width, int held>
class HeldSums {
 public:
  __device__ void clear(int k, float* memory) {
    for (int i = 0; i < width; ++i) (held > 0 ? sums_[k] : memory)[i] = 0;
  }
  __device__ void add(int k, float* memory, int i, float value) {
    (held > 0 ? sums_[k] : memory)[i] += value;
  }
  __device__ void store(int k, float* memory) const {
    if constexpr (held > 0) store_rounded(memory, sums_[k]);
  }

 private:
  float sums_[held > 0 ? held : 1][width];
};

// Calls body.template operator()<width, held>() with what fits the rows: 16-byte vectors if every row starts
// at a multiple of 16 bytes, and the least of few, many and 0 that holds a row.
template <class T, int members, int few, int many, class Body>
void dispatch_row(int64_t columns, std::initializer_list<const void*> rows, const Body& body) {
  constexpr int widest = 16 / sizeof(T);
  bool aligned = columns % widest == 0;
  for (const void* row : rows) aligned = aligned && reinterpret_cast<uintptr_t>(row) % 16 == 0;
  const auto with_width = [&]<int width>() {
    const int64_t vectors = ceil_div(columns, width * members);
    if (vectors <= few)
      body.template operator()<width, few>();
    else if (vectors <= many)
      body.template operator()<width, many>();
    else
      body.template operator()<width, 0>();
  };
  if (aligned)
    with_width.template operator()<widest>();
  else
    with_width.template operator()<1>();
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
