// Judges every memory access of a running kernel: is the address inside a live buffer or the block's shared
// memory, is it aligned, was shared memory written before it is read, and does the access race with another.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/access_sets.h"
#include "kernels/simt/clocks.h"

namespace tenon::simt {

enum class AccessKind : uint8_t { read, write, atomic };
enum class Space : uint8_t { shared, global, constant };

struct Access {
  uintptr_t address;
  size_t bytes;
  AccessKind kind;
  bool aligned;            // its type promises an address that is a multiple of its size
  const void* pc;          // return address
  bool traceless = false;  // judged, but nothing later is judged against it
  bool counted = true;     // false: a GPU makes no access of its own of it
};

// Where a store_async counts.
struct Completion {
  uint16_t barrier;  // its number
  uint32_t phase;
};

// What is wrong with an access, and where; then the other side of a race, if it is one.
struct Violation {
  std::string text;
  const void* pc = nullptr;
  std::string with;
  const void* with_pc = nullptr;
};

class [[gnu::visibility("hidden")]] MemoryCheck {
 public:
  // Blocks that run together, each with as many bytes of shared memory.
  void begin_group(const std::vector<const void*>& shared, size_t shared_bytes, size_t threads_per_block);

  void sync_warp(uint32_t block, uint32_t warp, uint32_t members) { clocks_.sync_warp(block, warp, members); }
  void sync_block(uint32_t block);
  void sync_group();
  Clocks& clocks() { return clocks_; }

  // From here on `block` may access the shared memory of `other`.
  void show(uint32_t block, uint32_t other) { visible_[block] |= 1u << other; }
  // Null where the access is right. With a completion it is a store_async, which nothing but a wait for that
  // phase orders before what follows.
  std::unique_ptr<Violation> access(const Access& access, Place place,
                                    const Completion* completion = nullptr);
  // Of the access that was judged last: what it reached, and if that is shared memory, of which block.
  Space space() const { return recent_->space; }
  uint32_t owner() const { return recent_->block; }
  // The block's last thread returned: null if nobody else may still access its shared memory.
  std::unique_ptr<Violation> end_block(uint32_t block);

 private:
  struct Cell {
    Stamp write;
    Stamp read;
  };
  // One page's cells; a granule is 1 << shift bytes, as small as the smallest access so far.
  struct Page {
    std::unique_ptr<Cell[]> cells;
    int shift = 0;
  };
  struct Region {
    uintptr_t begin;
    size_t bytes;
    Space space;
    uint32_t block = 0;    // of shared memory
    bool visited = false;  // by other blocks
    bool ended = false;    // with its block
    std::vector<Page> pages;
  };
  struct Visitor {  // an access of a thread, piece by piece
    const Access& access;
    const Self& self;
    Stamp stamp;
  };

  static std::string name(const Region& region);
  static std::unique_ptr<Region> make_region(uintptr_t begin, size_t bytes, Space space, uint32_t block = 0);
  Region* find_region(uintptr_t address, uint32_t block);
  std::unique_ptr<Violation> outside(const Access& access, const Region* region, uint32_t block) const;
  std::unique_ptr<Violation> visit(Region & region, const Access& access, uint32_t block);
  std::unique_ptr<Violation> race(const Visitor& visitor, const Region& region, const Stamp& other,
                                  AccessKind kind) const;
  std::unique_ptr<Violation> touch(Region & region, uintptr_t address, int shift, const Visitor& visitor);
  std::unique_ptr<Violation> touch_cell(Cell & cell, const Region& region, const Visitor& visitor);
  void refine(Page & page, int shift);

  Clocks clocks_;
  AccessSets sets_{clocks_};
  std::vector<std::unique_ptr<Region>> shared_;   // [block]
  std::vector<std::unique_ptr<Region>> regions_;  // all others: a handful
  std::vector<uint32_t> visible_;                 // [block]: a mask of others
  Region* recent_ = nullptr;
};

}  // namespace tenon::simt
