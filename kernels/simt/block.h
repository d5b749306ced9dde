// One thread block on the emulator: its fibers, its shared memory, the barrier and the warp rendezvous.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/simt/emulator.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/hooks.h"
#include "kernels/simt/memory_check.h"

namespace tenon::simt {

class BlockGroup;

class [[gnu::visibility("hidden")]] Block {
 public:
  Block(BlockGroup & group, uint32_t rank);

  void start(int64_t number);              // of the block in its launch: all threads are ready to run it
  uint32_t rank() const { return rank_; }  // in its group
  BlockGroup& group() { return group_; }
  std::string name() const;
  std::byte* shared_memory() const { return shared_.get(); }
  bool holds(const void* address) const;
  bool returned() const { return live_ == 0; }

  // The thread that runs, and the choice of the next one among those that are ready.
  void pick();
  Fiber& fiber() { return threads_[current_].fiber; }
  Place place() const { return {rank_, static_cast<uint32_t>(current_)}; }
  void wake(uint32_t thread);
  void wake_all();
  void list_waiting(std::vector<std::pair<std::string, int>> & places) const;  // how many threads wait where

  // Called on a fiber, by the thread that runs.
  const std::byte* stack() const { return threads_[current_].fiber.stack; }
  void barrier(Here here);
  void exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                Ordering ordering, Here here);
  void* shared(size_t bytes, Here here);
  void check_shared(const void* address, Here here);
  void* in_block(void* own, int rank, Here here);
  void start_copy(void* target, const void* source, int bytes, int valid_bytes, const void* pc);
  void commit_copies();
  void wait_copies(int pending, const void* pc);
  void load_matrices(uint32_t * words, const void* row, int count, bool transposed, Here here,
                     const void* pc);
  void judge(const Access& access, const Completion* completion = nullptr);
  void wait(const char* operation, Here here);  // until woken; the caller then switches to another thread
  // Ends the launch; nothing on this stack is destroyed, so parts must own no memory.
  template <class... Parts>
  [[noreturn]] void fault(const Parts&... parts) {
    end({str(parts...), nullptr, "", nullptr});
  }

  Index3 thread_index() const { return threads_[current_].index; }
  Index3 block_index() const { return index_; }
  int thread_number() const { return static_cast<int>(current_); }
  Index3 block_extent() const { return block_extent_; }
  Index3 grid_extent() const { return grid_extent_; }
  int cluster_extent() const;

 private:
  struct Copy {
    void* target;
    size_t bytes;
    int64_t group;
    std::byte data[16];
  };
  struct Thread {
    Fiber fiber;
    Index3 index = {};
    const char* waits_for = nullptr;
    Here waits_at;
    std::deque<Copy> copies;  // under way, the oldest first
    int64_t groups = 0;       // closed so far
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
    std::vector<Exchange*> open;
  };

  static void thread_main();
  void exit_thread();
  void set_ready(size_t warp, uint32_t lanes);
  void release_complete_barrier();
  Exchange& join(uint32_t members, const char* operation, Here here);
  void complete(Exchange & exchange, Ordering ordering);
  void check_members(uint32_t members, const char* operation, Here here);
  [[noreturn]] void end(Violation violation);
  void end_if(std::unique_ptr<Violation> violation);
  void touch(const void* address, size_t bytes, AccessKind kind, const void* pc, bool counted);
  Warp& warp() { return warps_[current_ / 32]; }
  uint32_t lane_bit() const { return 1u << (current_ % 32); }

  BlockGroup& group_;
  uint32_t rank_;
  Index3 block_extent_;
  Index3 grid_extent_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> unused_exchanges_;
  std::shared_ptr<std::byte> shared_;
  Index3 index_ = {};
  size_t current_ = 0;
  size_t live_ = 0;        // threads that have not returned
  size_t at_barrier_ = 0;  // of them
  Here barrier_here_;
  uint32_t ready_warps_ = 0;
};

// The block that runs on this OS thread, or null.
TENON_FAST_THREAD_LOCAL extern constinit thread_local Block* running_block;

}  // namespace tenon::simt
