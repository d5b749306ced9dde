// What CUDA answers, as errors of this project. For .cu files that nvcc compiles.
#pragma once
#include <cuda_runtime.h>

#include "kernels/base/launches.h"

namespace tenon {

// Whether a kernel that ran has left the error behind. If not, the call that reports it has made it.
inline bool is_kernel_fault(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

// call: the name of the function of CUDA's that was called.
inline void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  if (is_kernel_fault(status))
    throw KernelFailure(str("a kernel failed on the GPU (", cudaGetErrorString(status), "), which showed at ",
                            call, "; the last ones were launched at ", last_launches(),
                            "; with TENON_SYNC=1 the one at fault is named"));
  fail("CUDA: ", call, ": ", cudaGetErrorString(status));
}

}  // namespace tenon
