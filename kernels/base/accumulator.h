// The type in which sums over elements of T are kept.
#pragma once
#include <cstdint>

#include "kernels/base/dtype.h"

namespace tenon {

// fp32 for the storage types, fp64 for the reference.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using accumulator = typename AccumulatorOf<T>::type;

}  // namespace tenon
