#include "kernels/simt/block.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/simt/block_group.h"
#include "kernels/simt/hooks.h"

namespace tenon::simt {
namespace {

// A fresh block of exactly that many bytes, NaN in every floating type.
std::shared_ptr<std::byte> poisoned_memory(size_t bytes) {
  constexpr std::align_val_t alignment{128};
  auto* data = static_cast<std::byte*>(::operator new(bytes, alignment));
  std::memset(data, 0xff, bytes);
  return {data, [](std::byte* memory) { ::operator delete(memory, alignment); }};
}

Index3 narrow(const Dim3& dim) {
  return {static_cast<uint32_t>(dim.x), static_cast<uint32_t>(dim.y), static_cast<uint32_t>(dim.z)};
}

std::string to_text(Index3 index) { return str("(", index.x, ", ", index.y, ", ", index.z, ")"); }

}  // namespace

constinit thread_local Block* running_block = nullptr;

Block::Block(BlockGroup& group, uint32_t rank)
    : group_(group),
      rank_(rank),
      block_extent_(narrow(group.config().block)),
      grid_extent_(narrow(group.config().grid)),
      threads_(static_cast<size_t>(group.config().block.count())),
      warps_((threads_.size() + 31) / 32) {
  for (size_t i = 0; i < threads_.size(); ++i) {
    place_fiber(threads_[i].fiber, rank * threads_.size() + i);
    threads_[i].fiber.entry = &Block::thread_main;
    threads_[i].index = unflatten(static_cast<int64_t>(i), group.config().block);
    warps_[i / 32].exists |= 1u << (i % 32);
  }
}

void Block::start(int64_t number) {
  index_ = unflatten(number, group_.config().grid);
  shared_ = poisoned_memory(group_.config().shared_bytes);
  for (Thread& thread : threads_) {
    prepare_fiber(thread.fiber);
    thread.copies.clear();
    thread.groups = 0;
  }
  for (size_t i = 0; i < warps_.size(); ++i) {
    warps_[i].exited = 0;
    set_ready(i, warps_[i].exists);
  }
  live_ = threads_.size();
}

std::string Block::name() const { return "block " + to_text(index_); }

bool Block::holds(const void* address) const {
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(shared_.get());
  return offset < group_.config().shared_bytes;
}

int Block::cluster_extent() const { return static_cast<int>(group_.config().cluster); }

void Block::thread_main() {
  Block& block = *running_block;
  bool returned = true;
  try {
    block.group_.call_kernel();
  } catch (...) {
    block.group_.set_exception(std::current_exception());
    returned = false;
  }
  kernel_stack = nullptr;
  if (!returned) block.group_.leave();
  block.exit_thread();
}

void Block::exit_thread() {
  for (const Exchange* exchange : warp().open)
    if (exchange->members & lane_bit())
      fault("returned while other lanes of its warp wait for it in ", exchange->operation, " at ",
            exchange->here);
  if (const size_t left = threads_[current_].copies.size(); left > 0)
    fault("returned while ", left, " of its asynchronous copies were under way");
  warp().exited |= lane_bit();
  if (Counter* counter = group_.counter()) counter->exit_thread(place());
  threads_[current_].waits_for = nullptr;
  set_ready(current_ / 32, warp().ready & ~lane_bit());
  if (--live_ > 0) {
    release_complete_barrier();
  } else {
    end_if(group_.memory().end_block(rank_));
  }
  group_.exit_thread();
}

void Block::end_if(std::unique_ptr<Violation> violation) {
  if (!violation) return;
  Violation found = std::move(*violation);
  violation.reset();
  end(std::move(found));
}

void Block::end(Violation violation) {
  violation.text = str("thread ", to_text(threads_[current_].index), " of ", name(), " ", violation.text);
  group_.set_fault(std::move(violation));
  group_.leave();
}

void Block::set_ready(size_t warp, uint32_t lanes) {
  warps_[warp].ready = lanes;
  const uint32_t bit = 1u << warp;
  ready_warps_ = lanes ? ready_warps_ | bit : ready_warps_ & ~bit;
  group_.set_ready(rank_, ready_warps_ != 0);
}

void Block::pick() {
  const int warp = group_.pick_bit(ready_warps_);
  current_ = static_cast<size_t>(32 * warp + group_.pick_bit(warps_[static_cast<size_t>(warp)].ready));
}

void Block::wait(const char* operation, Here here) {
  threads_[current_].waits_for = operation;
  threads_[current_].waits_at = here;
  set_ready(current_ / 32, warp().ready & ~lane_bit());
}

void Block::wake(uint32_t thread) {
  threads_[thread].waits_for = nullptr;
  set_ready(thread / 32, warps_[thread / 32].ready | 1u << (thread % 32));
}

void Block::wake_all() {
  for (Thread& thread : threads_) thread.waits_for = nullptr;
  for (size_t i = 0; i < warps_.size(); ++i) set_ready(i, warps_[i].exists & ~warps_[i].exited);
}

void Block::list_waiting(std::vector<std::pair<std::string, int>>& places) const {
  for (const Thread& thread : threads_) {
    if (!thread.waits_for) continue;
    const std::string place = str(thread.waits_for, " at ", thread.waits_at);
    const auto known =
        std::find_if(places.begin(), places.end(), [&](const auto& p) { return p.first == place; });
    if (known == places.end()) {
      places.emplace_back(place, 1);
    } else {
      ++known->second;
    }
  }
}

void Block::barrier(Here here) {
  if (at_barrier_ == 0) barrier_here_ = here;
  if (here != barrier_here_)
    fault("waits at the barrier at ", here, " while other threads wait at another one at ", barrier_here_);
  wait("sync_threads", here);
  ++at_barrier_;
  release_complete_barrier();
  group_.switch_to_next();
}

void Block::release_complete_barrier() {
  if (at_barrier_ == 0 || at_barrier_ < live_) return;
  at_barrier_ = 0;
  group_.memory().sync_block(rank_);
  if (Counter* counter = group_.counter()) counter->sync_block(rank_);
  wake_all();
}

void Block::check_members(uint32_t members, const char* operation, Here here) {
  const auto first = [](uint32_t lanes) { return std::countr_zero(lanes); };
  if (!(members & lane_bit())) fault("is not itself a member of its ", operation, " at ", here);
  if (const uint32_t absent = members & ~warp().exists)
    fault("names lane ", first(absent), " in ", operation, " at ", here, ", which the block does not have");
  if (const uint32_t exited = members & warp().exited)
    fault("waits for lane ", first(exited), " in ", operation, " at ", here, ", which has returned");
}

// The open rendezvous of these members, which must stand at the same place, or a new one.
Block::Exchange& Block::join(uint32_t members, const char* operation, Here here) {
  for (Exchange* exchange : warp().open) {
    if (exchange->members != members) continue;
    if (exchange->here != here || exchange->operation != operation)
      fault("is in ", operation, " at ", here, " while other lanes of its warp are in ", exchange->operation,
            " at ", exchange->here);
    return *exchange;
  }
  if (unused_exchanges_.empty())
    unused_exchanges_.push_back(exchanges_.emplace_back(std::make_unique<Exchange>()).get());
  Exchange* exchange = unused_exchanges_.back();
  unused_exchanges_.pop_back();
  exchange->members = members;
  exchange->arrived = 0;
  exchange->unread = std::popcount(members);
  exchange->operation = operation;
  exchange->here = here;
  warp().open.push_back(exchange);
  return *exchange;
}

void Block::complete(Exchange& exchange, Ordering ordering) {
  std::erase(warp().open, &exchange);
  const size_t number = current_ / 32;
  for (uint32_t rest = exchange.members; rest; rest &= rest - 1)
    threads_[32 * number + static_cast<size_t>(std::countr_zero(rest))].waits_for = nullptr;
  if (ordering == Ordering::memory)
    group_.memory().sync_warp(rank_, static_cast<uint32_t>(number), exchange.members);
  if (Counter* counter = group_.counter())
    counter->sync_warp(rank_, number, exchange.members, exchange.operation);
  set_ready(number, warp().ready | exchange.members);
}

void Block::exchange(const void* value, size_t bytes, void* values, uint32_t members, const char* operation,
                     Ordering ordering, Here here) {
  check_members(members, operation, here);
  Exchange& exchange = join(members, operation, here);
  if (bytes) std::memcpy(exchange.values + current_ % 32 * bytes, value, bytes);
  exchange.arrived |= lane_bit();
  wait(operation, here);
  if (exchange.arrived == members) complete(exchange, ordering);
  group_.switch_to_next();
  if (bytes) std::memcpy(values, exchange.values, 32 * bytes);
  if (--exchange.unread == 0) unused_exchanges_.push_back(&exchange);
}

void* Block::shared(size_t bytes, Here here) {
  if (bytes > group_.config().shared_bytes)
    fault("asks for ", bytes, " bytes of shared memory at ", here, ", but the launch declared ",
          group_.config().shared_bytes);
  return shared_.get();
}

void Block::check_shared(const void* address, Here here) {
  if (!holds(address)) fault("names an address outside the block's shared memory at ", here);
}

// An access that the emulator makes for a kernel, after a check of the alignment.
void Block::touch(const void* address, size_t bytes, AccessKind kind, const void* pc, bool counted) {
  if (has_hooks()) judge({reinterpret_cast<uintptr_t>(address), bytes, kind, false, pc, false, counted});
}

void Block::start_copy(void* target, const void* source, int bytes, int valid_bytes, const void* pc) {
  const auto size = static_cast<size_t>(bytes), valid = static_cast<size_t>(valid_bytes);
  Copy copy{target, size, threads_[current_].groups, {}};
  if (valid > 0) touch(source, valid, AccessKind::read, pc, true);
  std::memcpy(copy.data, source, valid);
  touch(target, size, AccessKind::write, pc, true);
  std::memset(target, 0xff, size);
  threads_[current_].copies.push_back(copy);
  if (Counter* counter = group_.counter()) counter->count_copy(valid);
}

void Block::commit_copies() { ++threads_[current_].groups; }

void Block::wait_copies(int pending, const void* pc) {
  Thread& thread = threads_[current_];
  while (!thread.copies.empty() && thread.copies.front().group < thread.groups - pending) {
    const Copy copy = thread.copies.front();
    thread.copies.pop_front();
    touch(copy.target, copy.bytes, AccessKind::write, pc, false);
    std::memcpy(copy.target, copy.data, copy.bytes);
  }
}

// A GPU reads the rows that the lanes name; who reads which element is for the check.
void Block::load_matrices(uint32_t* words, const void* row, int count, bool transposed, Here here,
                          const void* pc) {
  const size_t lane = current_ % 32;
  if (Counter* counter = group_.counter(); counter && lane < 8 * static_cast<size_t>(count))
    counter->access(place(), {reinterpret_cast<uintptr_t>(row), 16, AccessKind::read, true, pc},
                    Space::shared, rank_);
  const std::byte* rows[32];
  exchange(&row, sizeof row, rows, 0xffffffffu, "load_matrices", Ordering::none, here);
  for (int j = 0; j < count; ++j) {
    const std::byte* const* matrix = rows + 8 * j;
    if (!transposed) {
      const std::byte* source = matrix[lane / 4] + 4 * (lane % 4);
      touch(source, 4, AccessKind::read, pc, false);
      std::memcpy(&words[j], source, 4);
      continue;
    }
    uint16_t halves[2];
    for (size_t i = 0; i < 2; ++i) {
      const std::byte* source = matrix[2 * (lane % 4) + i] + 2 * (lane / 4);
      touch(source, 2, AccessKind::read, pc, false);
      std::memcpy(&halves[i], source, 2);
    }
    words[j] = halves[0] | static_cast<uint32_t>(halves[1]) << 16;
  }
}

// The same place in the shared memory of another block of the cluster.
void* Block::in_block(void* own, int rank, Here here) {
  check_shared(own, here);
  if (rank < 0 || rank >= cluster_extent())
    fault("asks for block ", rank, " of a cluster of ", cluster_extent(), " at ", here);
  group_.memory().show(rank_, static_cast<uint32_t>(rank));
  return group_.block(static_cast<size_t>(rank)).shared_memory() +
         (static_cast<std::byte*>(own) - shared_.get());
}

void Block::judge(const Access& access, const Completion* completion) {
  end_if(group_.memory().access(access, place(), completion));
  if (Counter* counter = group_.counter(); counter && access.counted) [[unlikely]]
    counter->access(place(), access, group_.memory().space(), group_.memory().owner());
}

}  // namespace tenon::simt
