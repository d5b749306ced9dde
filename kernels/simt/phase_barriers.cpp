#include "kernels/simt/phase_barriers.h"

#include <cstring>
#include <memory>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/simt/block_group.h"

namespace tenon::simt {
namespace {

constexpr size_t barrier_bytes = 8;

// The barrier's own bytes are judged like any memory: initialised before they are used, in bounds, aligned.
// Only an arrival leaves a trace: a wait is the own block's affair, and a store has one in its target.
void judge_use(PhaseBarriers::Use use, void* address, const void* pc) {
  using Use = PhaseBarriers::Use;
  if (has_hooks())
    running_block->judge({reinterpret_cast<uintptr_t>(address), barrier_bytes,
                          use == Use::init ? AccessKind::write : AccessKind::atomic, true, pc,
                          use == Use::wait || use == Use::store, false});
}

const char* name(PhaseBarriers::Use use) {
  constexpr const char* names[] = {"init", "arrive", "wait", "store_async"};
  return names[static_cast<int>(use)];
}

}  // namespace

void PhaseBarriers::init(void* address, int arrivals, Here here, const void* pc) {
  Block& block = *running_block;
  if (!block.holds(address)) block.fault("initialises a ClusterBarrier outside its shared memory at ", here);
  if (arrivals < 1) block.fault("initialises a ClusterBarrier for ", arrivals, " arrivals at ", here);
  if (barriers_.contains(address)) block.fault("initialises a ClusterBarrier a second time at ", here);
  judge_use(Use::init, address, pc);
  group_.memory().clocks().use_barriers();
  barriers_.emplace(address, Barrier{.number = static_cast<uint16_t>(barriers_.size()),
                                     .home = &block,
                                     .initialised_by = block.place(),
                                     .initialised_at = here,
                                     .arrivals = arrivals,
                                     .missing = arrivals,
                                     .released = {}});
}

void PhaseBarriers::fence() {
  const Place self = running_block->place();
  for (auto& [address, barrier] : barriers_)
    if (barrier.initialised_by.block == self.block && barrier.initialised_by.thread == self.thread)
      barrier.fenced = true;
}

PhaseBarriers::Barrier& PhaseBarriers::find(Use use, void* address, Here here, const void* pc) {
  const auto found = barriers_.find(address);
  if (found == barriers_.end())
    running_block->fault("calls ", name(use), " at ", here,
                         " of a ClusterBarrier in shared memory that nobody initialised");
  judge_use(use, address, pc);
  if (Counter* counter = group_.counter()) counter->count_operation(name(use));
  Barrier& barrier = found->second;
  if (barrier.home == running_block) return barrier;
  if (barrier.home->returned())
    running_block->fault("calls ", name(use), " at ", here, " of a ClusterBarrier whose block has returned");
  if (!barrier.fenced)
    running_block->fault("calls ", name(use), " at ", here,
                         " of another block's ClusterBarrier, which lacks "
                         "fence_barrier_init after its initialisation at ",
                         barrier.initialised_at);
  return barrier;
}

void PhaseBarriers::arrive(void* address, int64_t expected_bytes, Here here, const void* pc) {
  Barrier& barrier = find(Use::arrive, address, here, pc);
  if (barrier.missing == 0)
    running_block->fault("arrives at ", here, " at a ClusterBarrier that already has the ", barrier.arrivals,
                         " arrivals of its phase ", barrier.phase);
  group_.memory().clocks().release(running_block->place(), barrier.released, barrier.last_released);
  --barrier.missing;
  barrier.missing_bytes += expected_bytes;
  if (barrier.missing == 0 && barrier.missing_bytes < 0)
    running_block->fault("completes the arrivals of phase ", barrier.phase, " of a ClusterBarrier at ", here,
                         ", which got ", -barrier.missing_bytes, " bytes more than they expect");
  complete_if_due(barrier);
}

void PhaseBarriers::wait(void* address, int parity, Here here, const void* pc) {
  Barrier& barrier = find(Use::wait, address, here, pc);
  if (barrier.home != running_block)
    running_block->fault("waits at ", here, " at the ClusterBarrier of another block");
  if (parity != 0 && parity != 1) running_block->fault("waits for parity ", parity, " at ", here);
  const Place self = running_block->place();
  if (barrier.phase % 2 != static_cast<uint32_t>(parity)) {
    group_.memory().clocks().acquire(self, barrier.completed);
    return;
  }
  barrier.waiting.push_back(self);
  running_block->wait("ClusterBarrier::wait", here);
  group_.switch_to_next();
}

void PhaseBarriers::store(void* target, const void* value, size_t bytes, void* address, Here here,
                          const void* pc) {
  Barrier& barrier = find(Use::store, address, here, pc);
  Block& self = *running_block;
  if (barrier.home == &self) self.fault("calls store_async at ", here, " for its own block");
  if (group_.owner(target) != barrier.home)
    self.fault("calls store_async at ", here,
               " for a target that is not in the same block as its ClusterBarrier");
  if (reinterpret_cast<uintptr_t>(target) % bytes != 0)
    self.fault("calls store_async at ", here, " for an address that is no multiple of ", bytes);
  const Completion completion{barrier.number, barrier.phase};
  if (has_hooks())
    self.judge({reinterpret_cast<uintptr_t>(target), bytes, AccessKind::write, true, pc}, &completion);
  std::memset(target, 0xff, bytes);
  Store& store = barrier.stores.emplace_back(Store{target, bytes, {}});
  std::memcpy(store.value, value, bytes);
  barrier.missing_bytes -= static_cast<int64_t>(bytes);
  if (barrier.missing == 0 && barrier.missing_bytes < 0)
    self.fault("sends ", bytes, " bytes by store_async at ", here, ", of which phase ", barrier.phase,
               " of the ClusterBarrier expects but ", static_cast<int64_t>(bytes) + barrier.missing_bytes);
  complete_if_due(barrier);
}

void PhaseBarriers::complete_if_due(Barrier& barrier) {
  if (barrier.missing > 0 || barrier.missing_bytes != 0) return;
  for (const Store& store : barrier.stores) std::memcpy(store.target, store.value, store.bytes);
  barrier.stores.clear();
  barrier.missing = barrier.arrivals;
  ++barrier.phase;
  if (barrier.released.phases.size() <= barrier.number) barrier.released.phases.resize(barrier.number + 1u);
  barrier.released.phases[barrier.number] = barrier.phase;
  barrier.completed = std::make_shared<const Clock>(barrier.released);
  for (const Place thread : std::exchange(barrier.waiting, {})) {
    group_.memory().clocks().acquire(thread, barrier.completed);
    group_.block(thread.block).wake(thread.thread);
  }
}

std::string PhaseBarriers::describe_waiting() const {
  std::string text;
  for (const auto& [address, barrier] : barriers_) {
    if (barrier.waiting.empty()) continue;
    text += str("; phase ", barrier.phase, " of the ClusterBarrier of ", barrier.home->name(),
                " initialised at ", barrier.initialised_at, " lacks ", barrier.missing, " of ",
                barrier.arrivals, " arrivals and ", barrier.missing_bytes, " bytes");
  }
  return text;
}

}  // namespace tenon::simt
