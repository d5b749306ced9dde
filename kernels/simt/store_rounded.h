// Sums of a thread on their way to memory.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Rounds neighbouring elements and stores them in vectors of up to 16 bytes. One by one, each store of a warp
// would reach as far as all of them together: as many sectors, or as many lanes on one bank.
template <class T, int count>
__device__ __forceinline__ void store_rounded(T* target, const float (&values)[count]) {
  constexpr int most = 16 / sizeof(T), piece = count < most ? count : most;
#pragma unroll
  for (int first = 0; first < count; first += piece) {
    Vector<T, piece> rounded;
    for (int i = 0; i < piece; ++i) rounded[i] = from_float<T>(values[first + i]);
    store_vector(target + first, rounded);
  }
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
