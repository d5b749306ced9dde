// Where an element, or a row, stands in two views of one shape.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

struct CopyPlaces {
  int64_t source = 0, target = 0;  // in elements
};

// Of number `number` in the row-major order of the first `dimensions` dimensions. The loop goes over all
// dimensions that a view can have: indexed by constants, its shape and strides need no local memory.
__device__ inline CopyPlaces copy_places(const TensorView& x, const TensorView& y, int dimensions,
                                         int64_t number) {
  CopyPlaces places;
#pragma unroll
  for (int i = max_rank - 1; i >= 0; --i) {
    if (i >= dimensions) continue;
    places.source += number % x.shape[i] * x.stride[i];
    places.target += number % x.shape[i] * y.stride[i];
    number /= x.shape[i];
  }
  return places;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
