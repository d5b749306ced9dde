#include "kernels/simt/memory_check.h"

#include <link.h>

#include <algorithm>
#include <bit>

#include "kernels/base/error.h"
#include "kernels/base/memory.h"

namespace tenon::simt {
namespace {

constexpr int page_shift = 10;
constexpr uintptr_t page_bytes = uintptr_t{1} << page_shift;
constexpr int max_granule_shift = 4;

struct Segment {
  uintptr_t address;
  uintptr_t begin = 0;
  size_t bytes = 0;
};

// The loaded segment of the program or a library that holds an address: constants and static variables.
Segment find_segment(uintptr_t address) {
  Segment segment{address};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* wanted) {
        auto& found = *static_cast<Segment*>(wanted);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
          if (header.p_type != PT_LOAD || found.address - begin >= header.p_memsz) continue;
          found.begin = begin;
          found.bytes = header.p_memsz;
          return 1;
        }
        return 0;
      },
      &segment);
  return segment;
}

std::string_view verb(AccessKind kind) {
  constexpr std::string_view verbs[] = {"reads", "writes", "atomically updates"};
  return verbs[static_cast<int>(kind)];
}

template <class... Parts>
std::unique_ptr<Violation> violation(const Access& access, const Parts&... parts) {
  return std::make_unique<Violation>(
      Violation{str(verb(access.kind), " ", access.bytes, " bytes ", parts...), access.pc, "", nullptr});
}

}  // namespace

void join_clocks(LaneClock* warp, uint32_t members, uint32_t sequence) {
  std::array<uint32_t, 32> joined = {};
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const auto& known = warp[std::countr_zero(rest)].known;
    for (size_t i = 0; i < joined.size(); ++i) joined[i] = std::max(joined[i], known[i]);
  }
  for (uint32_t rest = members; rest; rest &= rest - 1) joined[std::countr_zero(rest)] = sequence;
  for (uint32_t rest = members; rest; rest &= rest - 1) warp[std::countr_zero(rest)] = {sequence, joined};
}

void MemoryCheck::begin_block(const void* shared, size_t shared_bytes) {
  if (regions_.empty()) regions_.emplace_back();
  regions_[0] = make_region(reinterpret_cast<uintptr_t>(shared), shared_bytes, Space::shared);
  recent_ = regions_[0].get();
  barrier();
  block_epoch_ = epoch_;
}

void MemoryCheck::barrier() {
  ++epoch_;
  lane_labels_.clear();
}

std::unique_ptr<Violation> MemoryCheck::access(const Access& access, uint32_t thread,
                                               const LaneClock& clock) {
  Region* region = recent_;
  if (access.address - region->begin >= region->bytes) region = find_region(access.address);
  if (!region || access.bytes > region->bytes - (access.address - region->begin))
    return outside(access, region);
  recent_ = region;
  if (access.aligned && access.address % access.bytes != 0)
    return violation(access, "at an address that is no multiple of that");
  if (region->space == Space::constant) {
    if (access.kind == AccessKind::read) return nullptr;
    return violation(access, "of a static variable of the host");
  }
  const int shift = std::min(std::countr_zero(access.address | access.bytes),
                             max_granule_shift);  // the largest common granule
  for (size_t done = 0; done < access.bytes; done += size_t{1} << shift)
    if (auto found = touch(*region, access.address + done, shift, access, {thread, clock})) return found;
  return nullptr;
}

const char* MemoryCheck::name(Space space) { return space == Space::shared ? "shared memory" : "a buffer"; }

std::unique_ptr<MemoryCheck::Region> MemoryCheck::make_region(uintptr_t begin, size_t bytes, Space space) {
  auto region = std::make_unique<Region>(Region{begin, bytes, space, {}});
  // Pages are counted from a multiple of their size, so that their granules are aligned.
  const size_t pages = ((begin + bytes + page_bytes - 1) >> page_shift) - (begin >> page_shift);
  if (space != Space::constant) region->pages.resize(pages);
  return region;
}

MemoryCheck::Region* MemoryCheck::find_region(uintptr_t address) {
  for (auto& region : regions_)
    if (address - region->begin < region->bytes) return region.get();
  if (const auto block = find_block(Device::simt, reinterpret_cast<const void*>(address)))
    regions_.push_back(make_region(reinterpret_cast<uintptr_t>(block->first), block->second, Space::global));
  else if (const Segment segment = find_segment(address); segment.bytes)
    regions_.push_back(make_region(segment.begin, segment.bytes, Space::constant));
  else
    return nullptr;
  return regions_.back().get();
}

// Names the nearest region, so that an index which is off by one reads as such.
std::unique_ptr<Violation> MemoryCheck::outside(const Access& access, const Region* region) const {
  std::string where = "outside every buffer of the device";
  uintptr_t nearest = 4096;  // bytes; what lies farther off says nothing
  for (const auto& candidate : regions_) {
    if (candidate->space == Space::constant) continue;
    const uintptr_t end = candidate->begin + candidate->bytes;
    const uintptr_t distance = candidate.get() == region           ? 0
                               : access.address < candidate->begin ? candidate->begin - access.address
                                                                   : access.address - end;
    if (distance >= nearest) continue;
    nearest = distance;
    const auto offset = static_cast<int64_t>(access.address - candidate->begin);
    where = str("at offset ", offset, " of ", name(candidate->space), " of ", candidate->bytes, " bytes");
  }
  return violation(access, "out of bounds, ", where);
}

std::unique_ptr<Violation> MemoryCheck::race(const Access& access, const Region& region, const Stamp& other,
                                             AccessKind kind) const {
  const auto offset = static_cast<int64_t>(access.address - region.begin);
  const bool same_block = other.epoch >= block_epoch_ && !(other.flags & many_blocks);
  auto found = violation(access, "at offset ", offset, " of ", name(region.space), " in a race");
  const std::string who =
      other.flags & (many_lanes | many_warps | many_blocks) ? "another thread" : str("thread ", other.thread);
  found->with =
      str("with ", who, " of ", same_block ? "the same" : "another", " block that ", verb(kind), " them");
  found->with_pc = other.pc;
  return found;
}

std::unique_ptr<Violation> MemoryCheck::touch(Region& region, uintptr_t address, int shift,
                                              const Access& access, Self self) {
  Page& page = region.pages[(address >> page_shift) - (region.begin >> page_shift)];
  if (!page.cells || shift < page.shift) refine(page, shift);
  const size_t first = (address & (page_bytes - 1)) >> page.shift;
  const size_t count = size_t{1} << (shift - page.shift);
  for (size_t i = first; i < first + count; ++i)
    if (auto found = touch_cell(page.cells[i], region, access, self)) return found;
  return nullptr;
}

void MemoryCheck::refine(Page& page, int shift) {
  auto cells = std::make_unique<Cell[]>(page_bytes >> shift);
  if (page.cells)
    for (size_t i = 0; i < page_bytes >> shift; ++i) cells[i] = page.cells[i >> (page.shift - shift)];
  page.cells = std::move(cells);
  page.shift = shift;
}

std::unique_ptr<Violation> MemoryCheck::touch_cell(Cell& cell, const Region& region, const Access& access,
                                                   Self self) {
  const bool is_atomic = access.kind == AccessKind::atomic;
  if (region.space == Space::shared && access.kind != AccessKind::write && cell.write.epoch == 0)
    return violation(access, "at offset ", access.address - region.begin,
                     " of shared memory that nobody wrote");
  const bool both_atomic = is_atomic && (cell.write.flags & atomic);
  if (!both_atomic && !ordered(cell.write, self))
    return race(access, region, cell.write,
                cell.write.flags & atomic ? AccessKind::atomic : AccessKind::write);
  Stamp now{access.pc, epoch_, self.clock.label, static_cast<uint16_t>(self.thread),
            is_atomic ? uint16_t{atomic} : uint16_t{0}};
  if (access.kind == AccessKind::read) {
    add(cell.read, now, self);
    return nullptr;
  }
  if (!ordered(cell.read, self)) return race(access, region, cell.read, AccessKind::read);
  if (both_atomic) {
    add(cell.write, now, self);
  } else {
    cell.write = now;
  }
  cell.read = {};
  return nullptr;
}

// Whether everything in the set happened before what `self` does now.
bool MemoryCheck::ordered(const Stamp& set, Self self) const {
  if (set.epoch == 0) return true;
  if (set.epoch < block_epoch_ || set.flags & many_blocks) return false;
  if (set.epoch < epoch_) return true;
  if (set.flags & many_warps || set.thread / 32 != self.thread / 32) return false;
  const uint32_t own_lane = self.thread % 32;
  if (!(set.flags & many_lanes))
    return set.thread == self.thread || set.label < self.clock.known[set.thread % 32];
  const auto& labels = lane_labels_[set.label];
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (lane != own_lane && labels[lane] > self.clock.known[lane]) return false;
  return true;
}

void MemoryCheck::add(Stamp& set, Stamp now, Self self) {
  if (set.epoch < epoch_) {
    const bool other_block = set.epoch != 0 && set.epoch < block_epoch_;
    now.flags |= (set.flags & many_blocks) | (other_block ? many_blocks : 0);
    set = now;
  } else if (set.flags & many_warps) {
    return;
  } else if (set.thread / 32 != now.thread / 32) {
    set.flags |= many_warps;
  } else if (set.flags & many_lanes) {
    lane_labels_[set.label][now.thread % 32] = now.label + 1;
  } else if (set.thread == now.thread || set.label < self.clock.known[set.thread % 32]) {
    now.flags |= set.flags & many_blocks;
    set = now;
  } else {
    auto& labels = lane_labels_.emplace_back();
    labels[set.thread % 32] = set.label + 1;
    labels[now.thread % 32] = now.label + 1;
    set.label = static_cast<uint32_t>(lane_labels_.size() - 1);
    set.flags |= many_lanes;
  }
}

}  // namespace tenon::simt
