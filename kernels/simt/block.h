// One thread block on the emulator: its fibers, the scheduler, the barrier and the warp rendezvous. A thread
// that has to wait picks the next one and switches to it directly; the OS thread's own stack goes on when all
// have returned or a fault ended the block.
#pragma once
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/simt/emulator.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/memory_check.h"

namespace tenon::simt {

class Block {
 public:
  Block(const LaunchConfig& config, void (*entry)(const void*), const void* arguments);

  void run(int64_t number);  // throws the fault that ended it

  // Called on a fiber, by the thread that runs.
  const std::byte* stack() const { return threads_[current_].fiber.stack; }
  void barrier(Here here);
  void exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                Ordering ordering, Here here);
  void* shared(size_t bytes, Here here);
  void check_shared(const void* address, Here here);
  void start_copy(void* target, const void* data, int bytes);
  void commit_copies();
  bool next_copy(int pending, Copy& copy);
  void judge(const Access& access);
  // Ends the block; nothing on this stack is destroyed, so parts must own no memory.
  template <class... Parts>
  [[noreturn]] void fault(const Parts&... parts) {
    set_fault(str(parts...));
    leave();
  }

  Index3 thread_index() const { return threads_[current_].index; }
  Index3 block_index() const { return index_; }
  int thread_number() const { return static_cast<int>(current_); }
  Index3 block_extent() const { return block_extent_; }
  Index3 grid_extent() const { return grid_extent_; }

 private:
  struct GroupedCopy {
    Copy copy;
    int64_t group;
  };
  struct Thread {
    Fiber fiber;
    Index3 index = {};
    const char* waits_for = nullptr;
    Here waits_at;
    std::deque<GroupedCopy> copies;  // under way, the oldest first
    int64_t groups = 0;              // closed so far
  };
  struct Exchange {  // a rendezvous of lanes of one warp
    uint32_t members;
    uint32_t arrived;
    int unread;  // members that have not taken the values yet
    const char* operation;
    Here here;
    alignas(16) std::byte values[32 * max_exchange_bytes];  // of the lanes, one after the other
  };
  struct Warp {
    uint32_t exists = 0;  // masks of lanes
    uint32_t exited = 0;
    uint32_t ready = 0;
    uint32_t sequence = 0;  // of the last rendezvous that ordered memory
    std::vector<Exchange*> open;
  };

  static void thread_main();
  void start(int64_t number);
  void exit_thread();
  void wait(const char* operation, Here here);
  void switch_to_next();
  size_t pick();
  int pick_bit(uint32_t mask);
  void set_ready(size_t warp, uint32_t lanes);
  void release_complete_barrier();
  Exchange& join(uint32_t members, const char* operation, Here here);
  void complete(Exchange& exchange, Ordering ordering);
  void check_members(uint32_t members, const char* operation, Here here);
  void set_fault(const std::string& what);
  void throw_fault() const;
  std::string describe_waiting() const;
  [[noreturn]] void leave();
  std::string describe(size_t thread) const;
  Warp& warp() { return warps_[current_ / 32]; }
  uint32_t lane_bit() const { return 1u << (current_ % 32); }

  const LaunchConfig& config_;
  Index3 block_extent_;
  Index3 grid_extent_;
  void (*entry_)(const void*);
  const void* arguments_;
  Fiber host_;
  std::vector<Thread> threads_;
  std::vector<LaneClock> clocks_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> unused_exchanges_;
  std::shared_ptr<std::byte> shared_;
  MemoryCheck memory_;
  Index3 index_ = {};
  size_t current_ = 0;
  size_t live_ = 0;        // threads that have not returned
  size_t at_barrier_ = 0;  // of them
  Here barrier_here_;
  uint32_t ready_warps_ = 0;
  Schedule schedule_;
  uint64_t random_ = 0;
  Violation violation_;  // the fault, if its text is not empty
  bool deadlock_ = false;
  std::exception_ptr exception_;
};

// The block that runs on this OS thread, or null.
extern thread_local Block* running_block;

Index3 unflatten(int64_t number, const Dim3& extent);
uint64_t next_random(uint64_t& state);

}  // namespace tenon::simt
