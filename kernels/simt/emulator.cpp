#include "kernels/simt/emulator.h"

#include <numeric>

#include "kernels/base/error.h"
#include "kernels/simt/block_group.h"
#include "kernels/simt/counts.h"
#include "kernels/simt/device_memory.h"
#include "kernels/simt/hooks.h"

namespace tenon::simt {
namespace {

Schedule process_schedule;

// Visits 0 to count - 1 in the schedule's order: start, start + step, ... modulo count.
struct GroupOrder {
  int64_t first;
  int64_t step;
};
GroupOrder group_order(int64_t count) {
  if (process_schedule.order == Order::greedy) return {0, 1};
  if (process_schedule.order == Order::reversed) return {count - 1, count - 1};
  uint64_t random = process_schedule.seed;
  const auto draw = [&] { return static_cast<int64_t>(next_random(random) % static_cast<uint64_t>(count)); };
  int64_t step = draw();
  while (std::gcd(step, count) != 1) step = draw();
  return {draw(), step};
}

// What runs on this OS thread is for the group to say; nothing does when it is done.
struct Running {
  Running() = default;
  ~Running() { running_block = nullptr; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
};

}  // namespace

void set_schedule(Schedule schedule) { process_schedule = schedule; }
Schedule schedule() { return process_schedule; }

Index3 thread_index() { return running_block->thread_index(); }
int thread_number() { return running_block->thread_number(); }
Index3 block_index() { return running_block->block_index(); }
Index3 block_extent() { return running_block->block_extent(); }
Index3 grid_extent() { return running_block->grid_extent(); }
int cluster_rank() {
  return static_cast<int>(running_block->block_index().x) % running_block->cluster_extent();
}
int cluster_extent() { return running_block->cluster_extent(); }

void run_grid(const LaunchConfig& config, const void* kernel, void (*entry)(const void*),
              const void* arguments) {
  check_launch(config);
  check(!running_block, "simt: a kernel cannot launch another, at ", config.where);
  const int64_t blocks = config.grid.count();
  if (blocks == 0) return;
  check(!config.cooperative || blocks <= most_blocks_together, "simt: a cooperative grid of ", blocks,
        " blocks is more than the ", most_blocks_together,
        " that run together (most_cooperative_blocks), launched at ", config.where);
  const DeviceAccess access;
  BlockGroup group(config, entry, arguments, Counting::begin_launch(config, kernel));
  const Running running;
  const int64_t count = blocks / group.size();
  const GroupOrder order = group_order(count);
  int64_t number = order.first;
  for (int64_t done = 0; done < count; ++done, number = (number + order.step) % count) group.run(number);
}

void enter_kernel() { kernel_stack = running_block->stack(); }

void* shared_memory(size_t bytes, Here here) {
  const HostScope scope;
  return running_block->shared(bytes, here);
}

void block_barrier(Here here) {
  const HostScope scope;
  running_block->barrier(here);
}

void grid_barrier(Here here) {
  const HostScope scope;
  BlockGroup& group = running_block->group();
  if (!group.config().cooperative)
    running_block->fault("calls sync_grid at ", here, " in a launch that is not cooperative");
  group.barrier("sync_grid", here);
}

void cluster_barrier(Here here) {
  const HostScope scope;
  BlockGroup& group = running_block->group();
  if (group.config().cooperative)
    running_block->fault("calls sync_cluster at ", here, " in a cooperative launch, which has no clusters");
  group.barrier("sync_cluster", here);
}

void* in_block(void* own_shared, int rank, Here here) {
  const HostScope scope;
  return running_block->in_block(own_shared, rank, here);
}

void init_barrier(void* barrier, int arrivals, Here here) {
  const HostScope scope;
  running_block->group().barriers().init(barrier, arrivals, here, __builtin_return_address(0));
}

void fence_barrier_init() {
  const HostScope scope;
  running_block->group().barriers().fence();
}

void arrive_at(void* barrier, int64_t expected_bytes, Here here) {
  const HostScope scope;
  running_block->group().barriers().arrive(barrier, expected_bytes, here, __builtin_return_address(0));
}

void wait_at(void* barrier, int parity, Here here) {
  const HostScope scope;
  running_block->group().barriers().wait(barrier, parity, here, __builtin_return_address(0));
}

void store_async(void* target, const void* value, size_t bytes, void* barrier, Here here) {
  const HostScope scope;
  running_block->group().barriers().store(target, value, bytes, barrier, here, __builtin_return_address(0));
}

void warp_exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                   Ordering ordering, Here here) {
  const HostScope scope;
  running_block->exchange(value, bytes, values, members, operation, ordering, here);
}

void start_copy(void* target, const void* source, int bytes, int valid_bytes) {
  const HostScope scope;
  running_block->start_copy(target, source, bytes, valid_bytes, __builtin_return_address(0));
}

void commit_copies() {
  const HostScope scope;
  running_block->commit_copies();
}

void wait_copies(int pending) {
  const HostScope scope;
  running_block->wait_copies(pending, __builtin_return_address(0));
}

void load_matrices(uint32_t* words, const void* row, int count, bool transposed, Here here) {
  const HostScope scope;
  running_block->load_matrices(words, row, count, transposed, here, __builtin_return_address(0));
}

void check_shared(const void* address, Here here) {
  const HostScope scope;
  running_block->check_shared(address, here);
}

void kernel_fault(const char* text, Here here) {
  kernel_stack = nullptr;
  running_block->fault(text, ", at ", here);
}

}  // namespace tenon::simt
