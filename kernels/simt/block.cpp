#include "kernels/simt/block.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/simt/hooks.h"
#include "kernels/simt/locate.h"

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

thread_local Block* running_block = nullptr;

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

Block::Block(const LaunchConfig& config, void (*entry)(const void*), const void* arguments)
    : config_(config),
      block_extent_(narrow(config.block)),
      grid_extent_(narrow(config.grid)),
      entry_(entry),
      arguments_(arguments),
      threads_(static_cast<size_t>(config.block.count())),
      clocks_((threads_.size() + 31) / 32 * 32),
      warps_(clocks_.size() / 32),
      schedule_(schedule()) {
  for (size_t i = 0; i < threads_.size(); ++i) {
    place_fiber(threads_[i].fiber, i);
    threads_[i].fiber.entry = &Block::thread_main;
    threads_[i].index = unflatten(static_cast<int64_t>(i), config.block);
    warps_[i / 32].exists |= 1u << (i % 32);
  }
}

void Block::run(int64_t number) {
  start(number);
  current_ = pick();
  switch_fiber(host_, threads_[current_].fiber);
  if (exception_) std::rethrow_exception(exception_);
  if (deadlock_ || !violation_.text.empty()) throw_fault();
}

void Block::throw_fault() const {
  std::string message = "simt: " + (deadlock_ ? describe_waiting() : violation_.text);
  if (violation_.pc) message += " at " + locate(violation_.pc);
  if (violation_.with_pc) message += str(", ", violation_.with, " at ", locate(violation_.with_pc));
  fail(message, "; the kernel was launched at ", config_.where);
}

void Block::start(int64_t number) {
  index_ = unflatten(number, config_.grid);
  random_ = schedule_.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(number);
  shared_ = poisoned_memory(config_.shared_bytes);
  memory_.begin_block(shared_.get(), config_.shared_bytes);
  std::fill(clocks_.begin(), clocks_.end(), LaneClock{});
  for (Thread& thread : threads_) {
    prepare_fiber(thread.fiber);
    thread.copies.clear();
    thread.groups = 0;
  }
  for (size_t i = 0; i < warps_.size(); ++i) {
    warps_[i].exited = 0;
    warps_[i].sequence = 0;
    set_ready(i, warps_[i].exists);
  }
  live_ = threads_.size();
}

void Block::thread_main() {
  Block& block = *running_block;
  try {
    block.entry_(block.arguments_);
  } catch (...) {
    block.exception_ = std::current_exception();
  }
  kernel_stack = nullptr;
  if (block.exception_) block.leave();
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
  threads_[current_].waits_for = nullptr;
  set_ready(current_ / 32, warp().ready & ~lane_bit());
  if (--live_ == 0) leave();
  release_complete_barrier();
  switch_to_next();
}

void Block::leave() {
  switch_fiber(threads_[current_].fiber, host_);
  std::terminate();  // nothing switches back
}

void Block::set_fault(const std::string& what) { violation_.text = str(describe(current_), " ", what); }

std::string Block::describe(size_t thread) const {
  return str("thread ", to_text(threads_[thread].index), " of block ", to_text(index_));
}

void Block::set_ready(size_t warp, uint32_t lanes) {
  warps_[warp].ready = lanes;
  const uint32_t bit = 1u << warp;
  ready_warps_ = lanes ? ready_warps_ | bit : ready_warps_ & ~bit;
}

int Block::pick_bit(uint32_t mask) {
  switch (schedule_.order) {
    case Order::greedy:
      return std::countr_zero(mask);
    case Order::reversed:
      return 31 - std::countl_zero(mask);
    case Order::random:
      break;
  }
  const int start = static_cast<int>(next_random(random_) % 32);
  return (start + std::countr_zero(std::rotr(mask, start))) % 32;
}

size_t Block::pick() {
  if (ready_warps_ == 0) {
    deadlock_ = true;
    leave();
  }
  const int warp = pick_bit(ready_warps_);
  return static_cast<size_t>(32 * warp + pick_bit(warps_[static_cast<size_t>(warp)].ready));
}

void Block::switch_to_next() {
  const size_t previous = current_;
  current_ = pick();
  if (current_ != previous) switch_fiber(threads_[previous].fiber, threads_[current_].fiber);
}

void Block::wait(const char* operation, Here here) {
  threads_[current_].waits_for = operation;
  threads_[current_].waits_at = here;
  set_ready(current_ / 32, warp().ready & ~lane_bit());
}

std::string Block::describe_waiting() const {
  std::vector<std::pair<std::string, int>> places;
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
  std::string text = str("deadlock in block ", to_text(index_), ": every thread waits");
  for (const auto& [place, count] : places) text += str(", ", count, " in ", place);
  return text;
}

void Block::barrier(Here here) {
  if (at_barrier_ == 0) barrier_here_ = here;
  if (here != barrier_here_)
    fault("waits at the barrier at ", here, " while other threads wait at another one at ", barrier_here_);
  wait("sync_threads", here);
  ++at_barrier_;
  release_complete_barrier();
  switch_to_next();
}

void Block::release_complete_barrier() {
  if (at_barrier_ == 0 || at_barrier_ < live_) return;
  at_barrier_ = 0;
  memory_.barrier();
  for (Thread& thread : threads_) thread.waits_for = nullptr;
  for (size_t i = 0; i < warps_.size(); ++i) set_ready(i, warps_[i].exists & ~warps_[i].exited);
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
  if (ordering == Ordering::memory) join_clocks(&clocks_[32 * number], exchange.members, ++warp().sequence);
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
  switch_to_next();
  if (bytes) std::memcpy(values, exchange.values, 32 * bytes);
  if (--exchange.unread == 0) unused_exchanges_.push_back(&exchange);
}

void* Block::shared(size_t bytes, Here here) {
  if (bytes > config_.shared_bytes)
    fault("asks for ", bytes, " bytes of shared memory at ", here, ", but the launch declared ",
          config_.shared_bytes);
  return shared_.get();
}

void Block::check_shared(const void* address, Here here) {
  const auto offset = static_cast<const std::byte*>(address) - shared_.get();
  if (offset < 0 || static_cast<size_t>(offset) >= config_.shared_bytes)
    fault("names an address outside the block's shared memory at ", here);
}

void Block::start_copy(void* target, const void* data, int bytes) {
  Copy copy{target, bytes, {}};
  std::memcpy(copy.words, data, static_cast<size_t>(bytes));
  threads_[current_].copies.push_back({copy, threads_[current_].groups});
}

void Block::commit_copies() { ++threads_[current_].groups; }

bool Block::next_copy(int pending, Copy& copy) {
  Thread& thread = threads_[current_];
  if (thread.copies.empty() || thread.copies.front().group >= thread.groups - pending) return false;
  copy = thread.copies.front().copy;
  thread.copies.pop_front();
  return true;
}

void Block::judge(const Access& access) {
  auto violation = memory_.access(access, static_cast<uint32_t>(current_), clocks_[current_]);
  if (!violation) return;
  violation_ = std::move(*violation);
  violation.reset();
  set_fault(violation_.text);
  leave();
}

}  // namespace tenon::simt
