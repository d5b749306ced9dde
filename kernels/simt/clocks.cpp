#include "kernels/simt/clocks.h"

#include <algorithm>
#include <bit>

namespace tenon::simt {
namespace {

void raise(std::vector<uint32_t>& times, const std::vector<uint32_t>& others) {
  if (times.size() < others.size()) times.resize(others.size());
  for (size_t i = 0; i < others.size(); ++i) times[i] = std::max(times[i], others[i]);
}

bool covers(const std::vector<uint32_t>& times, const std::vector<uint32_t>& others) {
  for (size_t i = 0; i < others.size(); ++i)
    if (others[i] > (i < times.size() ? times[i] : 0)) return false;
  return true;
}

}  // namespace

void Clock::merge(const Clock& other) {
  raise(epochs, other.epochs);
  raise(labels, other.labels);
  raise(phases, other.phases);
}

bool Clock::contains(const Clock& other) const {
  return covers(epochs, other.epochs) && covers(labels, other.labels) && covers(phases, other.phases);
}

void Clocks::begin_group(size_t blocks, size_t threads_per_block) {
  const size_t warps = (threads_per_block + 31) / 32;
  stride_ = static_cast<uint32_t>(32 * warps);
  group_epoch_ = epoch_ + 1;
  exact_ = false;
  epochs_.resize(blocks);
  lanes_.assign(blocks * stride_, {});
  rendezvous_.assign(blocks * warps, 0);
  known_.assign(blocks * stride_, nullptr);
  for (SharedClock& clock : joined_) clock.reset();
  sync_group();
}

void Clocks::sync_warp(uint32_t block, uint32_t warp, uint32_t members) {
  const size_t first = block * stride_ + 32 * warp;
  const uint32_t sequence = ++rendezvous_[first / 32];
  std::array<uint32_t, 32> joined = {};
  SharedClock clock;
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const auto lane = static_cast<size_t>(std::countr_zero(rest));
    const auto& known = lanes_[first + lane].known;
    for (size_t i = 0; i < joined.size(); ++i) joined[i] = std::max(joined[i], known[i]);
    if (exact_) join(clock, known_[first + lane]);
  }
  for (uint32_t rest = members; rest; rest &= rest - 1)
    joined[static_cast<size_t>(std::countr_zero(rest))] = sequence;
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const auto lane = static_cast<size_t>(std::countr_zero(rest));
    lanes_[first + lane] = {sequence, joined};
    if (exact_) known_[first + lane] = clock;
  }
}

void Clocks::sync_block(uint32_t block) {
  if (epochs_.size() == 1) return sync_group();
  epochs_[block] = ++epoch_;
  if (!exact_) return;
  SharedClock clock;
  const auto first = known_.begin() + block * stride_;
  for (auto known = first; known != first + stride_; ++known) join(clock, *known);
  std::fill(first, first + stride_, clock);
}

void Clocks::sync_group() {
  common_epoch_ = epoch_ + 1;
  for (uint32_t& epoch : epochs_) epoch = ++epoch_;
  if (!exact_) return;
  SharedClock clock;
  for (const SharedClock& known : known_) join(clock, known);
  std::fill(known_.begin(), known_.end(), clock);
}

void Clocks::release(Place from, Clock& into, SharedClock& merged) {
  const uint32_t own = index(from), first = own / 32 * 32;
  if (known_[own] && known_[own] != merged) into.merge(*known_[own]);
  merged = known_[own];
  into.epochs.resize(epochs_.size());
  into.labels.resize(lanes_.size());
  into.epochs[from.block] = std::max(into.epochs[from.block], epochs_[from.block]);
  LaneClock& lane = lanes_[own];
  lane.label = lane.known[own % 32] = ++rendezvous_[own / 32];
  for (uint32_t i = 0; i < 32; ++i) into.labels[first + i] = std::max(into.labels[first + i], lane.known[i]);
}

void Clocks::join(SharedClock& to, const SharedClock& from) {
  if (!from || to == from) return;
  if (!to) {
    to = from;
    return;
  }
  if (to != joined_[0] || from != joined_[1]) {
    joined_[0] = to;
    joined_[1] = from;
    if (from->contains(*to)) {
      joined_[2] = from;
    } else if (to->contains(*from)) {
      joined_[2] = to;
    } else {
      auto both = std::make_shared<Clock>(*to);
      both->merge(*from);
      joined_[2] = std::move(both);
    }
  }
  to = joined_[2];
}

}  // namespace tenon::simt
