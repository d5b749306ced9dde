#include "kernels/simt/counts.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/simt/counter.h"
#include "kernels/simt/emulator.h"
#include "kernels/simt/locate.h"

namespace tenon::simt {
namespace {

thread_local Counting* current = nullptr;

// Instructions of one line, of which the compiler may have made several, as one.
std::vector<SiteCounts> sites_of(const Counter& counter) {
  std::vector<const void*> pcs;
  for (const auto& [instruction, counts] : counter.instructions()) pcs.push_back(instruction.pc);
  const std::vector<std::string> places = locate(pcs);
  std::map<std::tuple<std::string, Memory, AccessKind>, AccessCounts> sums;
  size_t i = 0;
  for (const auto& [instruction, counts] : counter.instructions())
    sums[{places[i++], instruction.memory, instruction.kind}] += counts;
  std::vector<SiteCounts> sites;
  for (const auto& [key, counts] : sums)
    sites.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), counts});
  return sites;
}

}  // namespace

AccessCounts& AccessCounts::operator+=(const AccessCounts& other) {
  requests += other.requests;
  lanes += other.lanes;
  bytes += other.bytes;
  transactions += other.transactions;
  least += other.least;
  return *this;
}

AccessCounts KernelCounts::total(Memory memory, AccessKind kind) const {
  AccessCounts sum;
  for (const SiteCounts& site : sites)
    if (site.memory == memory && site.kind == kind) sum += site.counts;
  return sum;
}

uint64_t KernelCounts::operation(const std::string& name) const {
  const auto found = operations.find(name);
  return found == operations.end() ? 0 : found->second;
}

struct Counting::Kernel {
  const void* function;
  LaunchConfig first;
  int64_t launches = 0, blocks = 0;
  Counter counter;

  bool matches(const LaunchConfig& config, const void* kernel) const {
    return function == kernel && first.block.count() == config.block.count() &&
           first.shared_bytes == config.shared_bytes && first.cluster == config.cluster &&
           first.cooperative == config.cooperative;
  }
};

Counting::Counting() {
  check(has_hooks(),
        "this build counts nothing: its kernels were compiled without memory hooks "
        "(TENON_SIMT_HOOKS is off, or a sanitizer took their place)");
  check(!current, "launches are being counted already");
  current = this;
}

Counting::~Counting() { current = nullptr; }

Counter* Counting::begin_launch(const LaunchConfig& config, const void* kernel) {
  if (!current) return nullptr;
  auto& all = current->kernels_;
  auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return each->matches(config, kernel); });
  if (found == all.end())
    found = all.insert(all.end(), std::make_unique<Kernel>(Kernel{kernel, config, 0, 0, {}}));
  ++(*found)->launches;
  (*found)->blocks += config.grid.count();
  return &(*found)->counter;
}

std::vector<KernelCounts> Counting::kernels() const {
  std::vector<KernelCounts> all;
  for (const auto& each : kernels_)
    all.push_back({.kernel = name_of_function(each->function),
                   .launched_at = to_string(each->first.where),
                   .launches = each->launches,
                   .blocks = each->blocks,
                   .threads = each->first.block.count(),
                   .shared_bytes = each->first.shared_bytes,
                   .cluster = each->first.cluster,
                   .cooperative = each->first.cooperative,
                   .operations = each->counter.operations(),
                   .copies = each->counter.copies(),
                   .copied_bytes = each->counter.copied_bytes(),
                   .sites = sites_of(each->counter)});
  return all;
}

}  // namespace tenon::simt
