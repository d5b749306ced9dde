#include "kernels/simt/block_group.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "kernels/base/launches.h"
#include "kernels/simt/locate.h"

namespace tenon::simt {

Index3 unflatten(int64_t number, const Dim3& extent) {
  return {static_cast<uint32_t>(number % extent.x), static_cast<uint32_t>(number / extent.x % extent.y),
          static_cast<uint32_t>(number / (extent.x * extent.y))};
}

uint64_t next_random(uint64_t& state) {  // splitmix64 (Steele, Lea and Flood, 2014)
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

BlockGroup::BlockGroup(const LaunchConfig& config, void (*entry)(const void*), const void* arguments,
                       Counter* counter)
    : config_(config), entry_(entry), arguments_(arguments), counter_(counter), schedule_(schedule()) {
  const int64_t size = config.cooperative ? config.grid.count() : config.cluster;
  for (int64_t rank = 0; rank < size; ++rank)
    blocks_.push_back(std::make_unique<Block>(*this, static_cast<uint32_t>(rank)));
}

void BlockGroup::run(int64_t number) {
  random_ = schedule_.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(number);
  live_ = blocks_.size() * static_cast<size_t>(config_.block.count());
  std::vector<const void*> shared;
  for (const auto& block : blocks_) {
    block->start(number * size() + block->rank());
    shared.push_back(block->shared_memory());
  }
  memory_.begin_group(shared, config_.shared_bytes, static_cast<size_t>(config_.block.count()));
  barriers_.begin_group();
  if (counter_) counter_->begin_group(blocks_.size(), static_cast<size_t>(config_.block.count()));
  pick();
  switch_fiber(host_, running_block->fiber());
  if (exception_) std::rethrow_exception(exception_);
  if (deadlock_ || !violation_.text.empty()) throw_fault();
  if (counter_) counter_->end_group();
}

void BlockGroup::throw_fault() const {
  std::string message = "simt: " + (deadlock_ ? describe_waiting() : violation_.text);
  if (violation_.pc) message += " at " + locate(violation_.pc);
  if (violation_.with_pc) message += str(", ", violation_.with, " at ", locate(violation_.with_pc));
  throw KernelFailure(str(message, "; the kernel was launched at ", config_.where));
}

Block* BlockGroup::owner(const void* shared) {
  for (const auto& block : blocks_)
    if (block->holds(shared)) return block.get();
  return nullptr;
}

void BlockGroup::exit_thread() {
  if (at_barrier_ > 0 && config_.cooperative)
    running_block->fault("returned while other threads of the grid wait for it in ", barrier_operation_,
                         " at ", barrier_here_);
  if (--live_ == 0) leave();
  release_complete_barrier();
  switch_to_next();
}

void BlockGroup::leave() {
  switch_fiber(running_block->fiber(), host_);
  std::terminate();  // nothing switches back
}

int BlockGroup::pick_bit(uint32_t mask) {
  if (schedule_.order == Order::greedy || std::has_single_bit(mask)) return std::countr_zero(mask);
  if (schedule_.order == Order::reversed) return 31 - std::countl_zero(mask);
  const int start = static_cast<int>(next_random(random_) % 32);
  return (start + std::countr_zero(std::rotr(mask, start))) % 32;
}

void BlockGroup::pick() {
  if (ready_blocks_ == 0) {
    deadlock_ = true;
    leave();
  }
  running_block = blocks_[static_cast<size_t>(pick_bit(ready_blocks_))].get();
  running_block->pick();
}

void BlockGroup::switch_to_next() {
  Fiber& from = running_block->fiber();
  pick();
  Fiber& to = running_block->fiber();
  if (&from != &to) switch_fiber(from, to);
}

void BlockGroup::barrier(const char* operation, Here here) {
  const auto threads = blocks_.size() * static_cast<size_t>(config_.block.count());
  if (config_.cooperative && live_ < threads)
    running_block->fault("waits in ", operation, " at ", here, " for ", threads - live_,
                         " threads of the grid that have returned");
  if (at_barrier_ == 0) {
    barrier_operation_ = operation;
    barrier_here_ = here;
  }
  if (here != barrier_here_)
    running_block->fault("waits in ", operation, " at ", here, " while other threads wait at another one at ",
                         barrier_here_);
  running_block->wait(operation, here);
  ++at_barrier_;
  release_complete_barrier();
  switch_to_next();
}

void BlockGroup::release_complete_barrier() {
  if (at_barrier_ == 0 || at_barrier_ < live_) return;
  at_barrier_ = 0;
  memory_.sync_group();
  if (counter_) counter_->sync_group(barrier_operation_);
  for (const auto& block : blocks_) block->wake_all();
}

std::string BlockGroup::describe_waiting() const {
  std::vector<std::pair<std::string, int>> places;
  for (const auto& block : blocks_) block->list_waiting(places);
  std::string text = "deadlock in " + blocks_.front()->name();
  if (blocks_.size() > 1) text += str(" to ", blocks_.back()->name());
  text += ": every thread waits";
  for (const auto& [place, count] : places) text += str(", ", count, " in ", place);
  return text + barriers_.describe_waiting();
}

}  // namespace tenon::simt
