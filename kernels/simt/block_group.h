// The blocks of a launch that run together on one OS thread: those of a cluster, all of a cooperative grid,
// or a single one. Picks the thread that runs next among theirs; a thread that has to wait switches to it
// directly, and the OS thread's own stack goes on when all have returned or a fault ended the launch.
#pragma once
#include <exception>
#include <memory>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/counter.h"
#include "kernels/simt/emulator.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/memory_check.h"
#include "kernels/simt/phase_barriers.h"

namespace tenon::simt {

class [[gnu::visibility("hidden")]] BlockGroup {
 public:
  // counter: null where nothing is counted.
  BlockGroup(const LaunchConfig& config, void (*entry)(const void*), const void* arguments, Counter* counter);
  int64_t size() const { return static_cast<int64_t>(blocks_.size()); }

  void run(int64_t number);  // of the group in its launch; throws the fault that ended it

  const LaunchConfig& config() const { return config_; }
  MemoryCheck& memory() { return memory_; }
  Counter* counter() { return counter_; }
  PhaseBarriers& barriers() { return barriers_; }
  Block& block(size_t rank) { return *blocks_[rank]; }
  Block* owner(const void* shared);  // the block whose shared memory holds the address, or null

  // Called on a fiber, by the thread that runs.
  void call_kernel() { entry_(arguments_); }
  void barrier(const char* operation, Here here);  // of all threads
  void exit_thread();
  void switch_to_next();
  void set_fault(Violation violation) { violation_ = std::move(violation); }
  void set_exception(std::exception_ptr exception) { exception_ = std::move(exception); }
  [[noreturn]] void leave();  // ends the launch; nothing on this stack is destroyed, so it must own no memory

  void set_ready(uint32_t rank, bool ready) {
    const uint32_t bit = 1u << rank;
    ready_blocks_ = ready ? ready_blocks_ | bit : ready_blocks_ & ~bit;
  }
  int pick_bit(uint32_t mask);  // in the order of the schedule

 private:
  void pick();
  void release_complete_barrier();
  void throw_fault() const;
  std::string describe_waiting() const;

  const LaunchConfig& config_;
  void (*entry_)(const void*);
  const void* arguments_;
  Counter* counter_;
  Fiber host_;
  MemoryCheck memory_;
  PhaseBarriers barriers_{*this};
  std::vector<std::unique_ptr<Block>> blocks_;
  uint32_t ready_blocks_ = 0;
  size_t live_ = 0;        // threads that have not returned
  size_t at_barrier_ = 0;  // of them
  const char* barrier_operation_ = "";
  Here barrier_here_;
  Schedule schedule_;
  uint64_t random_ = 0;
  Violation violation_;  // the fault, if its text is not empty
  bool deadlock_ = false;
  std::exception_ptr exception_;
};

Index3 unflatten(int64_t number, const Dim3& extent);
uint64_t next_random(uint64_t& state);

}  // namespace tenon::simt
