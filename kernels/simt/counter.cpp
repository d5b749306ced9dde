#include "kernels/simt/counter.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace tenon::simt {
namespace {

constexpr uintptr_t sector_bytes = 32;
constexpr uintptr_t bank_bytes = 4;
constexpr uintptr_t banks = 32;

template <class Body>
void for_each_lane(uint32_t lanes, const Body& body) {
  for (; lanes; lanes &= lanes - 1) body(static_cast<size_t>(std::countr_zero(lanes)));
}

// Bytes that a request touches, each counted once, in whole sectors; and the sectors in which they lie.
std::pair<uint64_t, uint64_t> sectors_of(const Request& request) {
  std::array<std::pair<uintptr_t, uintptr_t>, 32> spans;  // begin, end
  size_t count = 0;
  for_each_lane(request.lanes, [&](size_t lane) {
    spans[count++] = {request.addresses[lane], request.addresses[lane] + request.bytes[lane]};
  });
  std::sort(spans.begin(), spans.begin() + count);
  uint64_t bytes = 0, sectors = 0;
  uintptr_t end = 0, next_sector = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto [from, to] = spans[i];
    if (to <= end) continue;
    bytes += to - std::max(from, end);
    end = to;
    const uintptr_t first = std::max(from / sector_bytes, next_sector);
    next_sector = (to - 1) / sector_bytes + 1;
    sectors += next_sector - first;
  }
  return {(bytes + sector_bytes - 1) / sector_bytes, sectors};
}

// The most different words that lie in one bank; 0 if nothing is accessed.
uint64_t worst_bank(const Request& request, uint32_t lanes, uintptr_t offset) {
  std::array<uintptr_t, 160> words;  // at most 5 of a lane whose 16 bytes are misaligned
  size_t count = 0;
  for_each_lane(lanes, [&](size_t lane) {
    if (request.bytes[lane] <= offset) return;
    const uintptr_t begin = request.addresses[lane] + offset;
    const uintptr_t bytes = std::min<uintptr_t>(request.bytes[lane] - offset, 16);
    for (uintptr_t word = begin / bank_bytes; word <= (begin + bytes - 1) / bank_bytes; ++word)
      words[count++] = word;
  });
  std::sort(words.begin(), words.begin() + count);
  std::array<uint64_t, banks> in_bank = {};
  uint64_t worst = 0;
  for (size_t i = 0; i < count; ++i)
    if (i == 0 || words[i] != words[i - 1]) worst = std::max(worst, ++in_bank[words[i] % banks]);
  return worst;
}

// The least number of wavefronts, and how many it takes. 8-byte accesses go by halves of a warp, 16-byte ones
// by quarters, wider ones in pieces of 16 bytes.
std::pair<uint64_t, uint64_t> wavefronts_of(const Request& request) {
  uintptr_t widest = 0;
  for_each_lane(request.lanes,
                [&](size_t lane) { widest = std::max<uintptr_t>(widest, request.bytes[lane]); });
  const int lanes = widest <= 4 ? 32 : widest <= 8 ? 16 : 8;
  const uint32_t part = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
  uint64_t least = 0, taken = 0;
  for (uintptr_t offset = 0; offset < widest; offset += 16)
    for (int first = 0; first < 32; first += lanes) {
      const uint64_t worst = worst_bank(request, request.lanes & part << first, offset);
      least += worst > 0;
      taken += worst;
    }
  return {least, taken};
}

// The most lanes that update one address.
uint64_t turns_of(const Request& request) {
  std::map<uintptr_t, uint64_t> at;
  uint64_t most = 0;
  for_each_lane(request.lanes, [&](size_t lane) { most = std::max(most, ++at[request.addresses[lane]]); });
  return most;
}

}  // namespace

AccessCounts count_request(const Request& request, Memory memory, AccessKind kind) {
  AccessCounts counts{.requests = 1, .lanes = static_cast<uint64_t>(std::popcount(request.lanes))};
  for_each_lane(request.lanes, [&](size_t lane) { counts.bytes += request.bytes[lane]; });
  if (kind == AccessKind::atomic) {
    counts.least = 1;
    counts.transactions = turns_of(request);
  } else if (memory != Memory::cluster) {
    std::tie(counts.least, counts.transactions) =
        memory == Memory::global ? sectors_of(request) : wavefronts_of(request);
  }
  return counts;
}

Counter::Site& Counter::Segment::site(const Instruction& instruction) {
  std::vector<uint32_t>& known = by_pc[instruction.pc];
  for (uint32_t each : known)
    if (sites[each].instruction == instruction) return sites[each];
  known.push_back(static_cast<uint32_t>(sites.size()));
  return sites.emplace_back(Site{instruction, {}, {}});
}

void Counter::begin_group(size_t blocks, size_t threads_per_block) {
  warps_per_block_ = (threads_per_block + 31) / 32;
  warps_.clear();
  warps_.resize(blocks * warps_per_block_);
  for (size_t i = 0; i < warps_.size(); ++i) {
    const size_t threads = std::min<size_t>(threads_per_block - i % warps_per_block_ * 32, 32);
    warps_[i].live = threads == 32 ? 0xffffffffu : (1u << threads) - 1;
  }
}

void Counter::end_group() {
  for (Warp& each : warps_) close_all(each);
}

void Counter::access(Place place, const Access& access, Space space, uint32_t owner) {
  if (space == Space::constant) return;
  const Memory memory = space == Space::global ? Memory::global
                        : owner == place.block ? Memory::shared
                                               : Memory::cluster;
  Warp& of = warp(place.block, place.thread / 32);
  const size_t lane = place.thread % 32;
  Site& site = segment(of, of.segment[lane]).site({access.pc, memory, access.kind});
  const size_t number = site.done[lane]++;
  if (number == site.requests.size()) site.requests.emplace_back();
  Request& request = site.requests[number];
  request.lanes |= 1u << lane;
  request.addresses[lane] = access.address;
  request.bytes[lane] = static_cast<uint16_t>(access.bytes);
}

void Counter::count_copy(size_t bytes) {
  ++copies_;
  copied_bytes_ += bytes;
}

void Counter::sync_warp(uint32_t block, size_t number, uint32_t members, const char* operation) {
  count_operation(operation);
  Warp& of = warp(block, number);
  uint32_t next = 0;
  for_each_lane(members, [&](size_t lane) { next = std::max(next, of.segment[lane] + 1); });
  for_each_lane(members, [&](size_t lane) { of.segment[lane] = next; });
  uint32_t earliest = next;
  for_each_lane(of.live, [&](size_t lane) { earliest = std::min(earliest, of.segment[lane]); });
  close_before(of, earliest);
}

void Counter::sync_block(uint32_t block) {
  count_operation("sync_threads");
  for (size_t i = 0; i < warps_per_block_; ++i) close_all(warp(block, i));
}

void Counter::sync_group(const char* operation) {
  count_operation(operation);
  for (Warp& each : warps_) close_all(each);
}

void Counter::exit_thread(Place place) {
  warp(place.block, place.thread / 32).live &= ~(1u << place.thread % 32);
}

Counter::Segment& Counter::segment(Warp& warp, uint32_t number) {
  for (const auto& each : warp.open)
    if (each->number == number) return *each;
  if (unused_.empty()) unused_.push_back(std::make_unique<Segment>());
  warp.open.push_back(std::move(unused_.back()));
  unused_.pop_back();
  warp.open.back()->number = number;
  return *warp.open.back();
}

// Nobody adds to it any more. Its sites stay: most segments of a kernel are alike.
void Counter::close(Segment& segment) {
  for (Site& site : segment.sites) {
    if (site.requests.empty()) continue;
    AccessCounts& counts = instructions_[site.instruction];
    for (const Request& request : site.requests)
      counts += count_request(request, site.instruction.memory, site.instruction.kind);
    site.requests.clear();
    site.done.fill(0);
  }
}

void Counter::close_before(Warp& warp, uint32_t number) {
  for (auto& each : warp.open)
    if (each->number < number) {
      close(*each);
      unused_.push_back(std::move(each));
    }
  std::erase(warp.open, nullptr);
}

// All of its lanes are at a barrier or have returned.
void Counter::close_all(Warp& warp) {
  close_before(warp, UINT32_MAX);
  warp.segment.fill(0);
}

}  // namespace tenon::simt
