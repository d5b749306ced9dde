// What a kernel does to memory and to its warps, counted on the simt device instead of timed: how many bytes,
// in how many 32-byte sectors and shared-memory wavefronts, how many barriers, atomics and tensor-core
// products. The same on every machine and under every schedule. docs/simt.md says what each figure means.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/launch.h"
#include "kernels/simt/memory_check.h"

namespace tenon::simt {

enum class Memory : uint8_t { global, shared, cluster };  // cluster: shared memory of another block

// Of requests: a request is one access by the lanes of a warp together.
struct AccessCounts {
  uint64_t requests = 0;
  uint64_t lanes = 0;  // that took part, 32 at most in each
  uint64_t bytes = 0;  // that the lanes asked for, those that several asked for several times
  // 32-byte sectors of global memory, wavefronts of shared memory; of atomics in either the turns that lanes
  // take at one address. Not counted for a cluster's.
  uint64_t transactions = 0;
  uint64_t least = 0;  // transactions if the same bytes lay side by side, each in a bank of its own

  AccessCounts& operator+=(const AccessCounts& other);
  bool operator==(const AccessCounts&) const = default;
};

struct SiteCounts {
  std::string place;  // file:line
  Memory memory;
  AccessKind kind;
  AccessCounts counts;
  bool operator==(const SiteCounts&) const = default;
};

// All launches of one kernel with blocks of one size.
struct KernelCounts {
  std::string kernel;  // "forward<float, 4>"
  std::string launched_at;
  int64_t launches = 0;
  int64_t blocks = 0;   // of all launches
  int64_t threads = 0;  // of a block
  size_t shared_bytes = 0;
  int64_t cluster = 1;
  bool cooperative = false;
  // By the name of the primitive: sync_threads of a block, sync_grid and sync_cluster of all their blocks,
  // shuffles, votes, sync_warp, load_matrices and mma of a warp; of a ClusterBarrier each thread's.
  std::map<std::string, uint64_t> operations;
  uint64_t copies = 0;            // asynchronous ones, of threads
  uint64_t copied_bytes = 0;      // by them
  std::vector<SiteCounts> sites;  // by place

  AccessCounts total(Memory memory, AccessKind kind) const;
  uint64_t operation(const std::string& name) const;
  bool operator==(const KernelCounts&) const = default;
};

class Counter;

// While it lives, launches of this OS thread are counted. There is one at a time, and it needs has_hooks().
class Counting {
 public:
  Counting();
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

  std::vector<KernelCounts> kernels() const;  // in the order of their first launch

  // For the emulator: null where nothing is counted.
  static Counter* begin_launch(const LaunchConfig& config, const void* kernel);

 private:
  struct Kernel;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

}  // namespace tenon::simt
