// Launches under nvcc, and how many blocks of a kernel the GPU can run together.
#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "kernels/base/cuda_error.h"
#include "kernels/base/stream.h"
#include "kernels/simt/launch.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Of a launch itself; a kernel that failed before shows here as well.
inline void check_cuda_launch(cudaError_t status, const Here& where) {
  if (status == cudaSuccess) return;
  if (is_kernel_fault(status)) check_cuda(status, "a later launch");
  fail("CUDA: ", cudaGetErrorString(status), ", at the kernel launched at ", where);
}

inline bool synchronises_launches() {
  static const char* const value = std::getenv("TENON_SYNC");
  return value && value[0] == '1';
}

// A LaunchConfig in CUDA's words.
class CudaLaunch {
 public:
  explicit CudaLaunch(const LaunchConfig& config) {
    value_.gridDim = extent(config.grid);
    value_.blockDim = extent(config.block);
    value_.dynamicSmemBytes = config.shared_bytes;
    value_.attrs = attributes_.data();
    if (config.cluster > 1) {
      cudaLaunchAttribute& attribute = attributes_[value_.numAttrs++];
      attribute.id = cudaLaunchAttributeClusterDimension;
      attribute.val.clusterDim = {static_cast<unsigned>(config.cluster), 1, 1};
    }
    if (config.cooperative) {
      cudaLaunchAttribute& attribute = attributes_[value_.numAttrs++];
      attribute.id = cudaLaunchAttributeCooperative;
      attribute.val.cooperative = 1;
    }
  }
  CudaLaunch(const CudaLaunch&) = delete;
  CudaLaunch& operator=(const CudaLaunch&) = delete;

  cudaLaunchConfig_t& value() { return value_; }

 private:
  static dim3 extent(const Dim3& dim) {
    return {static_cast<unsigned>(dim.x), static_cast<unsigned>(dim.y), static_cast<unsigned>(dim.z)};
  }

  std::array<cudaLaunchAttribute, 2> attributes_ = {};
  cudaLaunchConfig_t value_ = {};
};

// A kernel may have 48 KB of shared memory without asking.
template <class... Params>
void allow_shared_memory(void (*kernel)(Params...), size_t bytes, const Here& where) {
  if (bytes <= 48 * 1024) return;
  const auto size = static_cast<int>(bytes);
  check_cuda_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, size), where);
}

// Launches kernel(args...) on the stream. Throws Error where the launch is refused. With TENON_SYNC=1 in the
// environment it waits for the kernel, so that a fault of its own is reported here.
template <class... Params, class... Args>
void launch(Stream& stream, const LaunchConfig& config, void (*kernel)(Params...), Args&&... args) {
  check_launch(config);
  if (config.grid.count() == 0) return;
  allow_shared_memory(kernel, config.shared_bytes, config.where);
  CudaLaunch cuda(config);
  cuda.value().stream = static_cast<cudaStream_t>(stream.handle());
  check_cuda_launch(cudaLaunchKernelEx(&cuda.value(), kernel, std::forward<Args>(args)...), config.where);
  check_cuda_launch(cudaGetLastError(), config.where);
  note_launch(config.where.file, config.where.line);
  if (!synchronises_launches()) return;
  if (const cudaError_t status = cudaStreamSynchronize(cuda.value().stream); status != cudaSuccess)
    throw KernelFailure(
        str("the kernel launched at ", config.where, " failed on the GPU: ", cudaGetErrorString(status)));
}

// 0 where there is no GPU, of which a kernel is asked whether it could run.
inline int device_attribute(cudaDeviceAttr attribute, const Here& where) {
  static const bool has_gpu = [] {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  }();
  if (!has_gpu) return 0;
  int device = 0, value = 0;
  check_cuda_launch(cudaGetDevice(&device), where);
  check_cuda_launch(cudaDeviceGetAttribute(&value, attribute, device), where);
  return value;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
