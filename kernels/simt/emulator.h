// The emulator of CUDA's execution model. The threads of a block are fibers on the calling OS thread; blocks
// run in turn, but those of a cluster or of a cooperative grid run together. The first part is for tests and
// tools, the second is what kernels/simt/*.h is made of; kernels see neither.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/simt/launch.h"

namespace tenon::simt {

// Which thread runs next. A fault that hides under one order shows under another, so tests run every case
// under all.
enum class Order : uint8_t {
  greedy,    // lowest block, warp and lane first, as far as it can go
  reversed,  // the same from the highest
  random,    // seeded, drawn anew at every switch; blocks permuted
};
struct Schedule {
  Order order = Order::greedy;
  uint64_t seed = 0;  // of Order::random
};
void set_schedule(Schedule schedule);  // for the whole process
Schedule schedule();

// Whether kernels were compiled with memory hooks: without them bounds, races and reads before writes go
// unseen.
bool has_hooks();

struct Index3 {
  uint32_t x, y, z;
};
Index3 thread_index();
int thread_number();  // linear, in the block
Index3 block_index();
Index3 block_extent();
Index3 grid_extent();
int cluster_rank();
int cluster_extent();

// What most_cooperative_blocks and most_clusters answer.
inline constexpr int64_t most_blocks_together = 16;
inline constexpr int64_t most_clusters_together = 4;

// Runs entry(arguments), which calls the kernel, once for each thread of the grid. Throws Error at the first
// fault of a kernel.
void run_grid(const LaunchConfig& config, const void* kernel, void (*entry)(const void*),
              const void* arguments);
// Memory accesses are checked from here on: entry calls it once its arguments are copied to the fiber's
// stack.
void enter_kernel();

// The block's shared memory, checked to hold that much.
void* shared_memory(size_t bytes, Here here);
void block_barrier(Here here);
void grid_barrier(Here here);
void cluster_barrier(Here here);
void* in_block(void* own_shared, int rank, Here here);

// A ClusterBarrier in shared memory, by its address.
void init_barrier(void* barrier, int arrivals, Here here);
void fence_barrier_init();
void arrive_at(void* barrier, int64_t expected_bytes, Here here);
void wait_at(void* barrier, int parity, Here here);
void store_async(void* target, const void* value, size_t bytes, void* barrier, Here here);

inline constexpr size_t max_exchange_bytes = 64;
enum class Ordering : uint8_t {
  none,
  memory
};  // memory: accesses before the rendezvous come before those after it

// The one warp collective: publishes a value, waits until every lane in members has arrived at the same
// place, and writes the values of all of them to values[lane * bytes]. Lanes outside members leave their
// slots untouched.
void warp_exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                   Ordering ordering, Here here);

// A copy of 4, 8 or 16 bytes to shared memory that arrives when its thread waits for it: valid_bytes of the
// source, then zeros.
void start_copy(void* target, const void* source, int bytes, int valid_bytes);
void commit_copies();  // closes a group of copies
void wait_copies(int pending);

// This lane's words of `count` matrices of 8 rows of 16 bytes, which lanes 0 to 8 * count - 1 name.
void load_matrices(uint32_t* words, const void* row, int count, bool transposed, Here here);

void check_shared(const void* address, Here here);            // that it lies in the block's shared memory
[[noreturn]] void kernel_fault(const char* text, Here here);  // ends the launch with an Error

}  // namespace tenon::simt
