// Functions that a GPU has as one instruction of limited accuracy, which CUDA's <cmath> hides behind longer
// ones.
#pragma once
#include <cmath>

#include "kernels/simt/launch.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// 2^x with a relative error of about 2^-22; what would be less than 2^-126 is 0, and so is 2^-inf.
__device__ inline float fast_exp2(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0 : y;
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
