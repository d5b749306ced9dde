// Rebuilds the requests of warps from the accesses of single lanes, which the emulator runs one after the
// other, and adds up what each would cost.
//
// Lanes make one request where they execute the same instruction for the same time since they last met: a
// lane's accesses are numbered anew for each instruction (the return address of its hook) after each
// rendezvous. Lanes that never met since, such as those that return early, are matched by the number of
// rendezvous before. So what is matched depends on what the lanes do, never on the order in which they run.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/counts.h"

namespace tenon::simt {

struct Request {
  uint32_t lanes = 0;  // a mask
  std::array<uintptr_t, 32> addresses;
  std::array<uint16_t, 32> bytes;
};

// Of one request.
AccessCounts count_request(const Request& request, Memory memory, AccessKind kind);

class Counter {
 public:
  struct Instruction {
    const void* pc;
    Memory memory;
    AccessKind kind;
    auto operator<=>(const Instruction&) const = default;
  };

  void begin_group(size_t blocks, size_t threads_per_block);
  void end_group();

  void access(Place place, const Access& access, Space space, uint32_t owner);
  void count_copy(size_t bytes);
  void count_operation(const char* name) { ++operations_[name]; }
  void sync_warp(uint32_t block, size_t warp, uint32_t members, const char* operation);
  void sync_block(uint32_t block);
  void sync_group(const char* operation);
  void exit_thread(Place place);

  const std::map<Instruction, AccessCounts>& instructions() const { return instructions_; }
  const std::map<std::string, uint64_t>& operations() const { return operations_; }
  uint64_t copies() const { return copies_; }
  uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  // The requests of a warp that one instruction made in one segment, in their order.
  struct Site {
    Instruction instruction;
    std::array<uint32_t, 32> done = {};  // by each lane
    std::vector<Request> requests;
  };
  // What lanes do between two rendezvous.
  struct Segment {
    uint32_t number = 0;
    std::vector<Site> sites;
    std::unordered_map<const void*, std::vector<uint32_t>> by_pc;
    Site& site(const Instruction& instruction);
  };
  struct Warp {
    std::array<uint32_t, 32> segment = {};  // each lane's
    uint32_t live = 0;                      // lanes that have not returned
    std::vector<std::unique_ptr<Segment>> open;
  };

  Warp& warp(uint32_t block, size_t number) { return warps_[block * warps_per_block_ + number]; }
  Segment& segment(Warp& warp, uint32_t number);
  void close(Segment& segment);
  void close_before(Warp& warp, uint32_t number);
  void close_all(Warp& warp);

  size_t warps_per_block_ = 0;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Segment>> unused_;
  std::map<Instruction, AccessCounts> instructions_;
  std::map<std::string, uint64_t> operations_;
  uint64_t copies_ = 0, copied_bytes_ = 0;
};

}  // namespace tenon::simt
