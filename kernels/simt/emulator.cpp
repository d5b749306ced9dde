#include "kernels/simt/emulator.h"

#include <numeric>

#include "kernels/base/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/hooks.h"

namespace tenon::simt {
namespace {

Schedule process_schedule;

// Visits 0 to count - 1 in the schedule's order: start, start + step, ... modulo count.
struct BlockOrder {
  int64_t first;
  int64_t step;
};
BlockOrder block_order(int64_t count) {
  if (process_schedule.order == Order::greedy) return {0, 1};
  if (process_schedule.order == Order::reversed) return {count - 1, count - 1};
  uint64_t random = process_schedule.seed;
  const auto draw = [&] { return static_cast<int64_t>(next_random(random) % static_cast<uint64_t>(count)); };
  int64_t step = draw();
  while (std::gcd(step, count) != 1) step = draw();
  return {draw(), step};
}

struct Running {
  explicit Running(Block& block) { running_block = &block; }
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

void run_grid(const LaunchConfig& config, void (*entry)(const void*), const void* arguments) {
  check_launch(config);
  check(!running_block, "simt: a kernel cannot launch another, at ", config.where);
  const int64_t count = config.grid.count();
  if (count == 0) return;
  Block block(config, entry, arguments);
  const Running running(block);
  const BlockOrder order = block_order(count);
  int64_t number = order.first;
  for (int64_t done = 0; done < count; ++done, number = (number + order.step) % count) block.run(number);
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

void warp_exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                   Ordering ordering, Here here) {
  const HostScope scope;
  running_block->exchange(value, bytes, values, members, operation, ordering, here);
}

void start_copy(void* target, const void* data, int bytes) {
  const HostScope scope;
  running_block->start_copy(target, data, bytes);
}

void commit_copies() {
  const HostScope scope;
  running_block->commit_copies();
}

bool next_copy(int pending, Copy& copy) {
  const HostScope scope;
  return running_block->next_copy(pending, copy);
}

void check_shared(const void* address, Here here) {
  const HostScope scope;
  running_block->check_shared(address, here);
}

void kernel_fault(const char* text, Here here) {
  kernel_stack = nullptr;
  running_block->fault(text, ", at ", here);
}

void judge(const Access& access) {
  const HostScope scope;
  running_block->judge(access);
}

}  // namespace tenon::simt
