#include "kernels/simt/access_sets.h"

#include <algorithm>

namespace tenon::simt {

bool AccessSets::knows_epoch(const Self& self, uint32_t block, uint32_t epoch) const {
  if (block == self.at.block) return epoch < self.epoch;
  return self.known && block < self.known->epochs.size() && epoch < self.known->epochs[block];
}

bool AccessSets::knows_label(const Self& self, uint32_t index, uint32_t label) const {
  if (index == self.index) return true;
  if (index / 32 == self.index / 32 && label < self.lane.known[index % 32]) return true;
  return self.known && index < self.known->labels.size() && label < self.known->labels[index];
}

bool AccessSets::ordered(const Node& node, const Self& self) const {
  if (knows_epoch(self, clocks_.place(32 * node.warp).block, node.epoch)) return true;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (node.labels[lane] && !knows_label(self, 32 * node.warp + lane, node.labels[lane] - 1)) return false;
  return true;
}

bool AccessSets::ordered_since(const Stamp& set, const Self& self) const {
  if (set.flags & Stamp::asynchronous)
    return self.known && set.thread < self.known->phases.size() && set.label < self.known->phases[set.thread];
  if (set.flags & Stamp::listed) {
    for (uint32_t i = set.label; i != none; i = nodes_[i].next)
      if (!ordered(nodes_[i], self)) return false;
    return true;
  }
  if (set.flags & Stamp::many_blocks) return false;
  if (knows_epoch(self, set.block, set.epoch)) return true;
  return !(set.flags & Stamp::many_warps) &&
         knows_label(self, clocks_.index({set.block, set.thread}), set.label);
}

uint32_t AccessSets::new_node(uint32_t warp, uint32_t epoch, uint32_t next) {
  uint32_t number = unused_;
  if (number == none) {
    number = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    unused_ = nodes_[number].next;
  }
  nodes_[number] = {warp, epoch, next, {}};
  return number;
}

void AccessSets::drop_list(Stamp& set) {
  if (alive(set)) {
    uint32_t last = set.label;
    while (nodes_[last].next != none) last = nodes_[last].next;
    nodes_[last].next = unused_;
    unused_ = set.label;
  }
  set.flags &= static_cast<uint16_t>(~Stamp::listed);
}

void AccessSets::put(Stamp& set, uint32_t index, uint32_t epoch, uint32_t label) {
  uint32_t number = set.label;
  while (number != none && nodes_[number].warp != index / 32) number = nodes_[number].next;
  if (number == none) number = set.label = new_node(index / 32, epoch, set.label);
  Node& node = nodes_[number];
  if (node.epoch < epoch) {  // a barrier of the block came between: what is listed happened before this
    node.epoch = epoch;
    node.labels = {};
  }
  node.labels[index % 32] = label + 1;
}

void AccessSets::add_to(Stamp& set, const Stamp& now, const Self& self) {
  if (set.epoch < clocks_.group_epoch() || set.flags & Stamp::other_groups) {
    replace(set, now);
    set.flags |= Stamp::other_groups;
    return;
  }
  const Stamp before = set;
  const uint32_t index = clocks_.index({set.block, set.thread});
  set.epoch = std::max(set.epoch, now.epoch);
  if (set.block != now.block) set.flags |= Stamp::many_blocks;
  if (index / 32 != self.index / 32) set.flags |= Stamp::many_warps;
  const bool single = !(before.flags & (Stamp::many_warps | Stamp::many_blocks));
  const bool listed = before.flags & Stamp::listed;
  if ((!single && !listed) || (set.flags & Stamp::many_warps && !clocks_.exact())) return drop_list(set);
  if (!listed) {
    set.label = none;
    put(set, index, before.epoch, before.label);
    set.flags |= Stamp::listed;
  }
  put(set, self.index, now.epoch, now.label);
}

Stamp AccessSets::copy(const Stamp& set) {
  Stamp same = set;
  if (!alive(set)) return same;
  same.label = none;
  for (uint32_t i = set.label; i != none; i = nodes_[i].next) {
    const uint32_t number = new_node(nodes_[i].warp, nodes_[i].epoch, same.label);
    nodes_[number].labels = nodes_[i].labels;
    same.label = number;
  }
  return same;
}

}  // namespace tenon::simt
