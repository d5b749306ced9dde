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
#define TENON_SIMT_BUILD cuda_build
#include "kernels/simt/cuda_launch.h"
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
#include "kernels/simt/cluster.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/math.h"
#include "kernels/simt/mma.h"
#include "kernels/simt/vector.h"
#include "kernels/simt/warp.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

#ifdef __CUDACC__

inline constexpr Device kernel_device = Device::cuda;

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
  simt::run_grid(config, reinterpret_cast<const void*>(kernel), &KernelCall<Params...>::run, &call);
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
