// What each thread of the blocks that run together knows to have happened before it: vector clocks, cut down
// to what CUDA offers. Barriers of a block or of all blocks count epochs, a warp rendezvous joins the clocks
// of its lanes, and only what a ClusterBarrier carries from one thread to another needs a clock of all
// threads. Those are shared between the threads that know the same.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tenon::simt {

// A thread's own time is its label, the number of its last rendezvous. Accesses of lane l of its warp with a
// label below known[l] happened before.
struct LaneClock {
  uint32_t label = 0;
  std::array<uint32_t, 32> known = {};
};

struct Clock {
  std::vector<uint32_t> epochs;  // [block]: its accesses of earlier epochs happened before
  std::vector<uint32_t> labels;  // [thread of all blocks]: its accesses with a label below did
  std::vector<uint32_t> phases;  // [ClusterBarrier]: asynchronous stores that counted in earlier phases did

  void merge(const Clock& other);
  bool contains(const Clock& other) const;
};
using SharedClock = std::shared_ptr<const Clock>;  // null: knows nothing

struct Place {
  uint32_t block;   // among those that run together
  uint32_t thread;  // in the block
};

// A thread as it is now.
struct Self {
  Place at;
  uint32_t index;  // among the threads of all blocks
  uint32_t epoch;
  const LaneClock& lane;
  const Clock* known;
};

class [[gnu::visibility("hidden")]] Clocks {
 public:
  void begin_group(size_t blocks, size_t threads_per_block);

  void sync_warp(uint32_t block, uint32_t warp, uint32_t members);
  void sync_block(uint32_t block);
  void sync_group();
  // What `from` knows and did until now; what it does later counts as later. `merged` is what went into the
  // clock last.
  void release(Place from, Clock & into, SharedClock & merged);
  void acquire(Place to, const SharedClock& clock) { join(known_[index(to)], clock); }
  void use_barriers() { exact_ = true; }

  Self self(Place at) const {
    const uint32_t i = index(at);
    return {at, i, epochs_[at.block], lanes_[i], known_[i].get()};
  }
  uint32_t index(Place at) const { return at.block * stride_ + at.thread; }
  Place place(uint32_t index) const { return {index / stride_, index % stride_}; }
  uint32_t group_epoch() const { return group_epoch_; }  // accesses of earlier ones are never ordered
  uint32_t common_epoch() const {
    return common_epoch_;
  }                                      // those of earlier ones happened before everything now
  bool exact() const { return exact_; }  // a ClusterBarrier may order single threads

 private:
  void join(SharedClock & to, const SharedClock& from);

  uint32_t stride_ = 0;  // threads of a block, in whole warps
  uint32_t epoch_ = 0;   // the last one given, never reused: each belongs to one block
  uint32_t group_epoch_ = 0;
  uint32_t common_epoch_ = 0;
  bool exact_ = false;
  std::vector<uint32_t> epochs_;      // [block]
  std::vector<LaneClock> lanes_;      // [thread of all blocks]
  std::vector<uint32_t> rendezvous_;  // [warp of all blocks]: so far
  std::vector<SharedClock> known_;    // [thread of all blocks]
  SharedClock joined_[3];             // two that were joined last, and the result
};

}  // namespace tenon::simt
