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

void MemoryCheck::begin_group(const std::vector<const void*>& shared, size_t shared_bytes,
                              size_t threads_per_block) {
  clocks_.begin_group(shared.size(), threads_per_block);
  sets_.clear();
  shared_.clear();
  for (const void* begin : shared)
    shared_.push_back(make_region(reinterpret_cast<uintptr_t>(begin), shared_bytes, Space::shared,
                                  static_cast<uint32_t>(shared_.size())));
  visible_.assign(shared.size(), 0);
  recent_ = shared_[0].get();
}

void MemoryCheck::sync_block(uint32_t block) {
  clocks_.sync_block(block);
  if (shared_.size() == 1) sets_.clear();
}

void MemoryCheck::sync_group() {
  clocks_.sync_group();
  sets_.clear();
}

std::unique_ptr<Violation> MemoryCheck::access(const Access& access, Place place,
                                               const Completion* completion) {
  Region* region = recent_;
  if (access.address - region->begin >= region->bytes) region = find_region(access.address, place.block);
  if (!region || access.bytes > region->bytes - (access.address - region->begin))
    return outside(access, region, place.block);
  recent_ = region;
  if (access.aligned && access.address % access.bytes != 0)
    return violation(access, "at an address that is no multiple of that");
  if (region->space == Space::constant) {
    if (access.kind == AccessKind::read) return nullptr;
    return violation(access, "of a static variable of the host");
  }
  if (region->space == Space::shared && region->block != place.block)
    if (auto found = visit(*region, access, place.block)) return found;
  const int shift = std::min(std::countr_zero(access.address | access.bytes),
                             max_granule_shift);  // the largest common granule
  const Self self = clocks_.self(place);
  Visitor visitor{access,
                  self,
                  {access.pc, self.epoch, self.lane.label, static_cast<uint16_t>(place.thread),
                   static_cast<uint16_t>(place.block), 0}};
  if (access.kind == AccessKind::atomic) visitor.stamp.flags = Stamp::atomic;
  if (completion) {
    visitor.stamp.flags = Stamp::asynchronous;
    visitor.stamp.thread = completion->barrier;
    visitor.stamp.label = completion->phase;
  }
  for (size_t done = 0; done < access.bytes; done += size_t{1} << shift)
    if (auto found = touch(*region, access.address + done, shift, visitor)) return found;
  return nullptr;
}

// Everything that others did to the shared memory must have happened before its end.
std::unique_ptr<Violation> MemoryCheck::end_block(uint32_t block) {
  Region& region = *shared_[block];
  region.ended = true;
  if (!region.visited) return nullptr;
  clocks_.sync_block(block);
  const Self self = clocks_.self({block, 0});
  for (const Page& page : region.pages) {
    if (!page.cells) continue;
    for (size_t i = 0; i < page_bytes >> page.shift; ++i)
      for (const Stamp* set : {&page.cells[i].write, &page.cells[i].read}) {
        if (sets_.ordered(*set, self)) continue;
        const uintptr_t address = (region.begin & ~(page_bytes - 1)) +
                                  (static_cast<size_t>(&page - region.pages.data()) << page_shift) +
                                  (i << page.shift);
        const auto offset = static_cast<int64_t>(address - region.begin);
        return std::make_unique<Violation>(Violation{
            "returned, which ends its block, while nothing says that another block had done with the "
            "block's shared memory",
            nullptr, str("accessed at offset ", offset), set->pc});
      }
  }
  return nullptr;
}

std::string MemoryCheck::name(const Region& region) {
  return region.space == Space::shared ? "shared memory" : "a buffer";
}

std::unique_ptr<MemoryCheck::Region> MemoryCheck::make_region(uintptr_t begin, size_t bytes, Space space,
                                                              uint32_t block) {
  auto region = std::make_unique<Region>();
  region->begin = begin;
  region->bytes = bytes;
  region->space = space;
  region->block = block;
  // Pages are counted from a multiple of their size, so that their granules are aligned.
  const size_t pages = ((begin + bytes + page_bytes - 1) >> page_shift) - (begin >> page_shift);
  if (space != Space::constant) region->pages.resize(pages);
  return region;
}

MemoryCheck::Region* MemoryCheck::find_region(uintptr_t address, uint32_t block) {
  const auto holds = [address](const auto& region) { return address - region->begin < region->bytes; };
  if (holds(shared_[block])) return shared_[block].get();
  for (const auto* regions : {&regions_, &shared_})
    if (const auto found = std::find_if(regions->begin(), regions->end(), holds); found != regions->end())
      return found->get();
  if (const auto block = find_block(Device::simt, reinterpret_cast<const void*>(address)))
    regions_.push_back(make_region(reinterpret_cast<uintptr_t>(block->first), block->second, Space::global));
  else if (const Segment segment = find_segment(address); segment.bytes)
    regions_.push_back(make_region(segment.begin, segment.bytes, Space::constant));
  else
    return nullptr;
  return regions_.back().get();
}

// Names the nearest region, so that an index which is off by one reads as such.
std::unique_ptr<Violation> MemoryCheck::outside(const Access& access, const Region* region,
                                                uint32_t block) const {
  std::string where = "outside every buffer of the device";
  uintptr_t nearest = 4096;  // bytes; what lies farther off says nothing
  std::vector<const Region*> candidates{shared_[block].get()};
  for (const auto& other : regions_)
    if (other->space == Space::global) candidates.push_back(other.get());
  for (const Region* candidate : candidates) {
    const uintptr_t end = candidate->begin + candidate->bytes;
    const uintptr_t distance = candidate == region                 ? 0
                               : access.address < candidate->begin ? candidate->begin - access.address
                                                                   : access.address - end;
    if (distance >= nearest) continue;
    nearest = distance;
    const auto offset = static_cast<int64_t>(access.address - candidate->begin);
    where = str("at offset ", offset, " of ", name(*candidate), " of ", candidate->bytes, " bytes");
  }
  return violation(access, "out of bounds, ", where);
}

// An access to the shared memory of another block.
std::unique_ptr<Violation> MemoryCheck::visit(Region& region, const Access& access, uint32_t block) {
  region.visited = true;
  if (!(visible_[block] >> region.block & 1))
    return violation(access, "of the shared memory of another block, which only in_block() makes visible");
  if (region.ended) return violation(access, "of the shared memory of another block, which has returned");
  return nullptr;
}

std::unique_ptr<Violation> MemoryCheck::race(const Visitor& visitor, const Region& region, const Stamp& other,
                                             AccessKind kind) const {
  const auto offset = static_cast<int64_t>(visitor.access.address - region.begin);
  auto found = violation(visitor.access, "at offset ", offset, " of ", name(region), " in a race");
  found->with_pc = other.pc;
  if (other.flags & Stamp::asynchronous) {
    found->with = "with a store_async that may still be under way";
    return found;
  }
  const bool many_blocks = other.flags & (Stamp::many_blocks | Stamp::other_groups);
  const bool same_block = other.epoch >= clocks_.group_epoch() && other.block == visitor.self.at.block;
  const bool single = !(other.flags & (Stamp::listed | Stamp::many_warps)) && !many_blocks;
  found->with = str("with ", single ? str("thread ", other.thread) : "another thread", " of ",
                    same_block && !many_blocks ? "the same" : "another", " block that ", verb(kind), " them");
  return found;
}

std::unique_ptr<Violation> MemoryCheck::touch(Region& region, uintptr_t address, int shift,
                                              const Visitor& visitor) {
  Page& page = region.pages[(address >> page_shift) - (region.begin >> page_shift)];
  if (!page.cells || shift < page.shift) refine(page, shift);
  const size_t first = (address & (page_bytes - 1)) >> page.shift;
  const size_t count = size_t{1} << (shift - page.shift);
  for (size_t i = first; i < first + count; ++i)
    if (auto found = touch_cell(page.cells[i], region, visitor)) return found;
  return nullptr;
}

void MemoryCheck::refine(Page& page, int shift) {
  auto cells = std::make_unique<Cell[]>(page_bytes >> shift);
  if (page.cells) {
    const int pieces = page.shift - shift;
    for (size_t i = 0; i < page_bytes >> shift; ++i) {
      const Cell& whole = page.cells[i >> pieces];
      const bool first = i % (size_t{1} << pieces) == 0;  // takes over what the whole cell had
      cells[i] = first ? whole : Cell{sets_.copy(whole.write), sets_.copy(whole.read)};
    }
  }
  page.cells = std::move(cells);
  page.shift = shift;
}

std::unique_ptr<Violation> MemoryCheck::touch_cell(Cell& cell, const Region& region, const Visitor& visitor) {
  const auto& [access, self, now] = visitor;
  const bool is_atomic = access.kind == AccessKind::atomic;
  if (region.space == Space::shared && access.kind != AccessKind::write && cell.write.epoch == 0)
    return violation(access, "at offset ", access.address - region.begin,
                     " of shared memory that nobody wrote");
  const bool both_atomic = is_atomic && (cell.write.flags & Stamp::atomic);
  if (!both_atomic && !sets_.ordered(cell.write, self))
    return race(visitor, region, cell.write,
                cell.write.flags & Stamp::atomic ? AccessKind::atomic : AccessKind::write);
  if (access.kind == AccessKind::read) {
    sets_.add(cell.read, now, self);
    return nullptr;
  }
  if (!sets_.ordered(cell.read, self)) return race(visitor, region, cell.read, AccessKind::read);
  if (access.traceless) return nullptr;
  if (both_atomic) {
    sets_.add(cell.write, now, self);
  } else {
    sets_.replace(cell.write, now);
  }
  sets_.replace(cell.read, {});
  return nullptr;
}

}  // namespace tenon::simt
