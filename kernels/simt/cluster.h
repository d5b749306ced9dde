// Clusters of blocks (sm_90): the LaunchConfig::cluster blocks next to each other along x run together, reach
// each other's shared memory and signal each other. A block must not return while another one may still reach
// its shared memory, so kernels end with sync_cluster() or a wait of the same effect.
// Launches need a GPU where most_clusters() is not 0; elsewhere these primitives trap.
#pragma once
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/simt/launch.h"

#ifdef __CUDACC__
#include "kernels/simt/cuda_launch.h"
#if __CUDA_ARCH__ >= 900
#define TENON_CLUSTER_ASM(...) asm volatile(__VA_ARGS__)
#else  // of the host's pass, too, which compiles none of it
#define TENON_CLUSTER_ASM(...) __trap()
#endif
#endif

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// This block's number in its cluster, and how many blocks that has.
__device__ inline int cluster_rank() {
#ifdef __CUDACC__
  int rank = 0;
  TENON_CLUSTER_ASM("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return simt::cluster_rank();
#endif
}
__device__ inline int cluster_blocks() {
#ifdef __CUDACC__
  int blocks = 0;
  TENON_CLUSTER_ASM("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
  return blocks;
#else
  return simt::cluster_extent();
#endif
}

// Every thread of the cluster that has not returned waits here; memory before it, shared memory of all its
// blocks included, is seen after it. It does not wait for store_async.
__device__ inline void sync_cluster([[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  TENON_CLUSTER_ASM("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
#else
  simt::cluster_barrier(here);
#endif
}

// Where `own`, which lies in this block's shared memory, lies in that of block `rank` of the cluster.
template <class T>
__device__ inline T* in_block(T* own, int rank, [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
  uint64_t address = 0;
  TENON_CLUSTER_ASM("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(own), "r"(rank));
  return reinterpret_cast<T*>(address);
#else
  return static_cast<T*>(simt::in_block(own, rank, here));
#endif
}

#ifdef __CUDACC__
// A place in the shared memory of the cluster, this block's included, as PTX wants it.
__device__ inline uint32_t cluster_address(const void* place) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(place));
}
#endif

// A barrier in shared memory (PTX mbarrier). Its phases follow each other; one is complete when as many
// arrivals have come as init() said and as many bytes from store_async as those arrivals expect. Phase 0, 2,
// ... has parity 0. What a thread did before its arrival, and what store_async brought, is seen by the
// threads of the barrier's own block that waited for the phase; nobody else may wait.
class ClusterBarrier {
 public:
  // By one thread, once; a barrier of the block or the cluster must follow. Before other blocks use it that
  // thread calls fence_barrier_init().
  __device__ __forceinline__ void init(int arrivals, [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
    TENON_CLUSTER_ASM("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(cluster_address(this)), "r"(arrivals)
                      : "memory");
#else
    simt::init_barrier(this, arrivals, here);
#endif
  }

  // One arrival, at the own barrier or at in_block(&barrier, rank).
  __device__ __forceinline__ void arrive([[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
    TENON_CLUSTER_ASM(
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(cluster_address(this))
        : "memory");
#else
    simt::arrive_at(this, 0, here);
#endif
  }

  // One arrival that expects this many bytes from store_async in this phase.
  __device__ __forceinline__ void arrive_expect(int bytes, [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
    TENON_CLUSTER_ASM("mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%0], %1;" ::"r"(
                          cluster_address(this)),
                      "r"(bytes)
                      : "memory");
#else
    simt::arrive_at(this, bytes, here);
#endif
  }

  // Waits until the phase of this parity is complete: the current one or the one before it.
  __device__ __forceinline__ void wait(int parity, [[maybe_unused]] Here here = Here::current()) {
#ifdef __CUDACC__
    uint32_t done = 0;
    do {
      TENON_CLUSTER_ASM(
          "{\n\t.reg .pred done;\n\t"
          "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%1], %2;\n\t"
          "selp.u32 %0, 1, 0, done;\n\t}"
          : "=r"(done)
          : "r"(cluster_address(this)), "r"(parity)
          : "memory");
    } while (!done);
#else
    simt::wait_at(this, parity, here);
#endif
  }

 private:
  [[maybe_unused]] uint64_t state_;
};

// Shows the barriers that this thread initialised to the cluster; sync_cluster() must follow.
__device__ inline void fence_barrier_init() {
#ifdef __CUDACC__
  TENON_CLUSTER_ASM("fence.mbarrier_init.release.cluster;" ::: "memory");
#else
  simt::fence_barrier_init();
#endif
}

// Sends 4, 8 or 16 bytes to another block of the cluster: `remote` and `barrier` are in_block() of the same
// other block, `remote` a multiple of the size. The bytes count at the barrier, in the phase that is current
// there, and whoever waited for that phase sees them. Nothing else tells that they have arrived.
template <class T>
__device__ __forceinline__ void store_async(T* remote, std::type_identity_t<T> value, ClusterBarrier* barrier,
                                            [[maybe_unused]] Here here = Here::current()) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16));
#ifdef __CUDACC__
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
  const uint32_t to = cluster_address(remote), at = cluster_address(barrier);
  if constexpr (sizeof(T) == 4)
    TENON_CLUSTER_ASM(
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
        "r"(words[0]), "r"(at)
        : "memory");
  else if constexpr (sizeof(T) == 8)
    TENON_CLUSTER_ASM(
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(to),
        "r"(words[0]), "r"(words[1]), "r"(at)
        : "memory");
  else
    TENON_CLUSTER_ASM(
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::
            "r"(to),
        "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]), "r"(at)
        : "memory");
#else
  simt::store_async(remote, &value, sizeof(T), barrier, here);
#endif
}

// How many clusters of `cluster` blocks, of `threads` threads and `shared_bytes` each, can run at a time; 0
// where clusters cannot be launched.
template <class... Params>
int64_t most_clusters([[maybe_unused]] void (*kernel)(Params...), int64_t cluster, int64_t threads,
                      size_t shared_bytes, Here where = Here::current()) {
  const LaunchConfig config{
      .grid = cluster, .block = threads, .shared_bytes = shared_bytes, .cluster = cluster, .where = where};
  check_launch(config);
#ifdef __CUDACC__
  if (!device_attribute(cudaDevAttrClusterLaunch, where)) return 0;
  allow_shared_memory(kernel, shared_bytes, where);
  CudaLaunch cuda(config);
  int clusters = 0;
  check_cuda_launch(cudaOccupancyMaxActiveClusters(&clusters, kernel, &cuda.value()), where);
  return clusters;
#else
  return simt::most_clusters_together;
#endif
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
