// Judges every memory access of a running kernel: is the address inside a live buffer, is it aligned, was
// shared memory written before it is read, and does the access race with another. Races are found by
// happens-before, as in FastTrack (Flanagan and Freund, 2009), with its vector clocks cut down to what CUDA
// offers: block barriers count epochs, a warp rendezvous joins the clocks of its lanes, and blocks of a
// launch are never ordered.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tenon::simt {

// What a thread knows of the other lanes of its warp. A lane's label is the number of its last sync_warp;
// accesses of lane l with a label below known[l] happened before.
struct LaneClock {
  uint32_t label = 0;
  std::array<uint32_t, 32> known = {};
};
// The members' rendezvous number `sequence` (counted from 1 in each warp).
void join_clocks(LaneClock* warp, uint32_t members, uint32_t sequence);

enum class AccessKind : uint8_t { read, write, atomic };

struct Access {
  uintptr_t address;
  size_t bytes;
  AccessKind kind;
  bool aligned;    // its type promises an address that is a multiple of its size
  const void* pc;  // return address
};

// What is wrong with an access, and where; then the other side of a race, if it is one.
struct Violation {
  std::string text;
  const void* pc = nullptr;
  std::string with;
  const void* with_pc = nullptr;
};

class MemoryCheck {
 public:
  void begin_block(const void* shared, size_t shared_bytes);
  void barrier();
  // Null where the access by `thread` of the current block is right.
  std::unique_ptr<Violation> access(const Access& access, uint32_t thread, const LaneClock& clock);

 private:
  enum Flag : uint16_t { many_lanes = 1, many_warps = 2, many_blocks = 4, atomic = 8 };
  // A set of accesses to one granule: exactly one, unless a flag says more. epoch 0: none.
  struct Stamp {
    const void* pc;
    uint32_t epoch;
    uint32_t label;  // with many_lanes: index into lane_labels_
    uint16_t thread;
    uint16_t flags;
  };
  struct Cell {
    Stamp write;
    Stamp read;
  };
  // One page's cells; a granule is 1 << shift bytes, as small as the smallest access so far.
  struct Page {
    std::unique_ptr<Cell[]> cells;
    int shift = 0;
  };
  enum class Space : uint8_t { shared, global, constant };
  struct Region {
    uintptr_t begin;
    size_t bytes;
    Space space;
    std::vector<Page> pages;
  };
  struct Self {
    uint32_t thread;
    const LaneClock& clock;
  };

  static const char* name(Space space);
  static std::unique_ptr<Region> make_region(uintptr_t begin, size_t bytes, Space space);
  Region* find_region(uintptr_t address);
  std::unique_ptr<Violation> outside(const Access& access, const Region* region) const;
  std::unique_ptr<Violation> race(const Access& access, const Region& region, const Stamp& other,
                                  AccessKind kind) const;
  std::unique_ptr<Violation> touch(Region& region, uintptr_t address, int shift, const Access& access,
                                   Self self);
  std::unique_ptr<Violation> touch_cell(Cell& cell, const Region& region, const Access& access, Self self);
  static void refine(Page& page, int shift);
  bool ordered(const Stamp& set, Self self) const;
  void add(Stamp& set, Stamp now, Self self);

  std::vector<std::unique_ptr<Region>> regions_;  // a handful; [0] is shared memory
  Region* recent_ = nullptr;
  uint32_t epoch_ = 0;                                 // barriers and blocks begun in this launch
  uint32_t block_epoch_ = 0;                           // the first of this block
  std::vector<std::array<uint32_t, 32>> lane_labels_;  // label + 1 of each lane in a set; 0: not in it
};

}  // namespace tenon::simt
