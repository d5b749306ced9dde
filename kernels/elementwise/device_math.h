// The elementary functions of kernels, for the formulas that the CPU shares.
#pragma once
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

struct DeviceMath {
  __host__ __device__ static float erf(float x) { return erff(x); }
  __host__ __device__ static float tanh(float x) { return tanhf(x); }
  __host__ __device__ static float exp(float x) { return expf(x); }
  __host__ __device__ static float log1p(float x) { return log1pf(x); }
  __host__ __device__ static float sqrt(float x) { return sqrtf(x); }
  __host__ __device__ static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
};

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
