// The one header a .cu includes. Under nvcc it gives a kernel the GPU; under the host compiler, the emulator.
// The two builds stand in different inline namespaces, so that one program can hold both.
#pragma once
#include <cmath>
#include <tuple>
#include <type_traits>

#include "kernels/base/device.h"
#include "kernels/base/stream.h"
#include "kernels/simt/launch.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include <cstdlib>
#define TENON_SIMT_BUILD cuda_build
#else
#include "kernels/simt/emulator.h"
#define TENON_SIMT_BUILD simt_build
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define threadIdx (::tenon::simt::thread_index())
#define blockIdx (::tenon::simt::block_index())
#define blockDim (::tenon::simt::block_extent())
#define gridDim (::tenon::simt::grid_extent())
#endif

#include "kernels/simt/async_copy.h"
#include "kernels/simt/atomic.h"
#include "kernels/simt/mma.h"
#include "kernels/simt/vector.h"
#include "kernels/simt/warp.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

#ifdef __CUDACC__

inline constexpr Device kernel_device = Device::cuda;

inline void check_cuda_launch(cudaError_t status, const LaunchConfig& config) {
  check(status == cudaSuccess, "CUDA: ", cudaGetErrorString(status), ", at the kernel launched at ",
        config.where);
}

inline bool synchronises_launches() {
  static const char* const value = std::getenv("TENON_SYNC");
  return value && value[0] == '1';
}

// Launches kernel(args...) on the stream. Throws Error where the launch is refused. With TENON_SYNC=1 in the
// environment it waits for the kernel, so that a fault of its own is reported here.
template <class... Params, class... Args>
void launch(Stream& stream, const LaunchConfig& config, void (*kernel)(Params...), Args&&... args) {
  check_launch(config);
  if (config.grid.count() == 0) return;
  const auto extent = [](const Dim3& dim) {
    return dim3(static_cast<unsigned>(dim.x), static_cast<unsigned>(dim.y), static_cast<unsigned>(dim.z));
  };
  if (config.shared_bytes > 48 * 1024)
    check_cuda_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(config.shared_bytes)),
                      config);
  cudaLaunchConfig_t cuda_config = {};
  cuda_config.gridDim = extent(config.grid);
  cuda_config.blockDim = extent(config.block);
  cuda_config.dynamicSmemBytes = config.shared_bytes;
  cuda_config.stream = static_cast<cudaStream_t>(stream.handle());
  check_cuda_launch(cudaLaunchKernelEx(&cuda_config, kernel, std::forward<Args>(args)...), config);
  check_cuda_launch(cudaGetLastError(), config);
  if (synchronises_launches()) check_cuda_launch(cudaStreamSynchronize(cuda_config.stream), config);
}

#else

inline constexpr Device kernel_device = Device::simt;

template <class... Params>
struct KernelCall {
  void (*kernel)(Params...);
  std::tuple<Params...> arguments;

  static void run(const void* call) {
    const KernelCall copy = *static_cast<const KernelCall*>(call);  // each thread has its own, as on a GPU
    simt::enter_kernel();
    std::apply(copy.kernel, copy.arguments);
  }
};

// Runs kernel(args...) to its end. Throws Error at the first fault.
template <class... Params, class... Args>
void launch(Stream&, const LaunchConfig& config, void (*kernel)(Params...), Args&&... args) {
  static_assert((std::is_trivially_copyable_v<Params> && ...), "a kernel's parameters are copied as bytes");
  const KernelCall<Params...> call{kernel, {static_cast<Params>(args)...}};
  simt::run_grid(config, &KernelCall<Params...>::run, &call);
}

// CUDA's own functions that <cmath> lacks.
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

#endif

// The shared memory of this block as one struct. LaunchConfig::shared_bytes must be at least sizeof(T).
template <class T>
__device__ inline T& shared([[maybe_unused]] Here here = Here::current()) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 128);
#ifdef __CUDACC__
  extern __shared__ __align__(128) unsigned char tenon_shared_memory[];
  return *reinterpret_cast<T*>(tenon_shared_memory);
#else
  return *static_cast<T*>(simt::shared_memory(sizeof(T), here));
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
