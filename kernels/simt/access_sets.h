// Sets of accesses to one piece of memory, and whether all of a set happened before another access. Races are
// found by happens-before, as in FastTrack (Flanagan and Freund, 2009): a single access is a stamp, and only
// accesses that nothing orders among themselves need a list.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/simt/clocks.h"

namespace tenon::simt {

// Exactly one access, unless a flag says more. epoch 0: none.
struct Stamp {
  enum Flag : uint16_t {
    listed = 1,        // label is the first node of a list
    many_warps = 2,    // of one block; if not listed, only their last epoch is known
    many_blocks = 4,   // of those that run together; likewise
    other_groups = 8,  // includes blocks that do not run together with this one: never ordered
    atomic = 16,
    asynchronous = 32,  // a store_async: thread is its ClusterBarrier, label the phase in which it counts
  };
  const void* pc;
  uint32_t epoch;
  uint32_t label;
  uint16_t thread;
  uint16_t block;
  uint16_t flags;
};

class [[gnu::visibility("hidden")]] AccessSets {
 public:
  explicit AccessSets(const Clocks& clocks) : clocks_(clocks) {}

  void clear() {
    nodes_.clear(), unused_ = none;
  }  // after a barrier of all threads: no list is looked at again

  bool ordered(const Stamp& set, const Self& self) const {
    if (set.epoch == 0) return true;
    const bool single = !(set.flags & ~Stamp::atomic);
    if (single && set.thread == self.at.thread && set.block == self.at.block && set.epoch == self.epoch)
      return true;
    if (set.epoch < clocks_.group_epoch() || set.flags & Stamp::other_groups) return false;
    if (set.epoch < clocks_.common_epoch() && !(set.flags & Stamp::asynchronous)) return true;
    return ordered_since(set, self);
  }
  void add(Stamp & set, const Stamp& now, const Self& self) {
    // Of several warps since the last barrier of the block: one more changes nothing.
    if (set.flags == Stamp::many_warps && set.epoch == now.epoch && set.block == now.block) return;
    if (ordered(set, self)) return replace(set, now);
    add_to(set, now, self);
  }
  void replace(Stamp & set, const Stamp& by) {
    if (set.flags & Stamp::listed) drop_list(set);
    set = by;
  }
  Stamp copy(const Stamp& set);

 private:
  static constexpr uint32_t none = UINT32_MAX;
  struct Node {  // accesses of one warp in one of its block's epochs
    uint32_t warp;
    uint32_t epoch;
    uint32_t next;
    std::array<uint32_t, 32> labels;  // label + 1 of each lane; 0: not in the set
  };

  bool alive(const Stamp& set) const {
    return (set.flags & Stamp::listed) && set.epoch >= clocks_.common_epoch();
  }
  bool ordered_since(const Stamp& set, const Self& self) const;
  bool ordered(const Node& node, const Self& self) const;
  bool knows_epoch(const Self& self, uint32_t block, uint32_t epoch) const;
  bool knows_label(const Self& self, uint32_t index, uint32_t label) const;
  uint32_t new_node(uint32_t warp, uint32_t epoch, uint32_t next);
  void drop_list(Stamp & set);
  void add_to(Stamp & set, const Stamp& now, const Self& self);  // which `now` is not ordered with
  void put(Stamp & set, uint32_t index, uint32_t epoch, uint32_t label);

  const Clocks& clocks_;
  std::vector<Node> nodes_;
  uint32_t unused_ = none;  // a list of nodes
};

}  // namespace tenon::simt
