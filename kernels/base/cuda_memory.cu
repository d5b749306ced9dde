// Memory of the cuda device. The driver is first asked when something first wants the device, so that a
// machine without a GPU, and a command that needs none, never waits for it.
#include <cuda_runtime.h>

#include <string>

#include "kernels/base/memory.h"

namespace tenon {
namespace {

void check_cuda(cudaError_t status, const char* what) {
  check(status == cudaSuccess, "CUDA could not ", what, ": ", cudaGetErrorString(status));
}

std::string find_out_what_is_missing() {
  int devices = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&devices); status != cudaSuccess)
    return cudaGetErrorString(status);
  int major = 0;
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "describe its device");
  return major >= 8 ? "" : str("its GPU has compute capability ", major, ".x, older than 8.0");
}

const std::string& missing() {
  static const std::string answer = find_out_what_is_missing();
  return answer;
}

void* allocate_block(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // else the next launch would report it
    return nullptr;
  }
  check_cuda(status, "allocate memory");
  return block;
}

const RegisterMemory registered{
    Device::cuda,
    {.allocate = allocate_block,
     .free = [](void* block, size_t) { cudaFree(block); },
     .copy =
         [](void* target, const void* source, size_t bytes) {
           check_cuda(cudaMemcpy(target, source, bytes, cudaMemcpyDefault), "copy memory");
         },
     .fill_zero = [](void* block,
                     size_t bytes) { check_cuda(cudaMemsetAsync(block, 0, bytes), "clear memory"); },
     .synchronize =
         [](void* stream) {
           check_cuda(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "finish its work");
         },
     .missing = missing}};

}  // namespace
}  // namespace tenon
