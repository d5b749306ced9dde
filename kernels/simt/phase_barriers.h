// The mbarriers of the blocks that run together, which are ClusterBarriers to a kernel: a phase is complete
// when all arrivals have come and as many bytes as they expect. What store_async sends is kept here until
// then.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/simt/clocks.h"
#include "kernels/simt/launch.h"

namespace tenon::simt {

class Block;
class BlockGroup;

class [[gnu::visibility("hidden")]] PhaseBarriers {
 public:
  enum class Use : uint8_t { init, arrive, wait, store };

  explicit PhaseBarriers(BlockGroup & group) : group_(group) {}
  void begin_group() { barriers_.clear(); }

  // Called on a fiber, by the thread that runs; pc is where its kernel called.
  void init(void* address, int arrivals, Here here, const void* pc);
  void fence();  // those that this thread initialised may be used from other blocks
  void arrive(void* address, int64_t expected_bytes, Here here, const void* pc);
  void wait(void* address, int parity, Here here, const void* pc);
  void store(void* target, const void* value, size_t bytes, void* address, Here here, const void* pc);

  std::string describe_waiting() const;  // what those lack that somebody waits for

 private:
  struct Store {
    void* target;
    size_t bytes;
    std::byte value[16];
  };
  struct Barrier {
    uint16_t number;  // among those of the group
    Block* home;      // in whose shared memory it lies
    Place initialised_by;
    Here initialised_at;
    bool fenced = false;
    int arrivals;
    int missing;                // arrivals of this phase
    int64_t missing_bytes = 0;  // of this phase; below zero, more have come than are expected so far
    uint32_t phase = 0;
    Clock released;               // by arrivals so far
    SharedClock last_released{};  // what one of them knew
    SharedClock completed{};      // by those of completed phases
    std::vector<Store> stores{};  // of this phase
    std::vector<Place> waiting{};
  };

  Barrier& find(Use use, void* address, Here here, const void* pc);
  void complete_if_due(Barrier & barrier);

  BlockGroup& group_;
  std::map<void*, Barrier> barriers_;
};

}  // namespace tenon::simt
