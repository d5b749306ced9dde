#include "tools/bench_counts.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "kernels/base/select.h"
#include "kernels/base/verify.h"
#include "kernels/simt/counts.h"
#include "tools/machine.h"
#include "tools/source_path.h"
#include "tools/static_profile.h"

namespace tenon {
namespace {

using nlohmann::json;
using simt::AccessCounts;
using simt::AccessKind;
using simt::KernelCounts;
using simt::Memory;

constexpr uint64_t sector_bytes = 32;
constexpr size_t lines_shown = 3;  // of each variant, those that cost most beyond the least

const char* name(Memory memory) {
  constexpr const char* names[] = {"global", "shared", "cluster"};
  return names[static_cast<int>(memory)];
}
const char* name(AccessKind kind) {
  constexpr const char* names[] = {"loads", "stores", "atomics"};
  return names[static_cast<int>(kind)];
}

json to_json(const AccessCounts& counts) {
  return {{"requests", counts.requests},
          {"lanes", counts.lanes},
          {"bytes", counts.bytes},
          {"transactions", counts.transactions},
          {"least_transactions", counts.least}};
}

json totals(const std::vector<KernelCounts>& kernels) {
  json result;
  for (Memory memory : {Memory::global, Memory::shared, Memory::cluster})
    for (AccessKind kind : {AccessKind::read, AccessKind::write, AccessKind::atomic}) {
      AccessCounts sum;
      for (const KernelCounts& kernel : kernels) sum += kernel.total(memory, kind);
      result[name(memory)][name(kind)] = to_json(sum);
    }
  json operations = json::object();
  uint64_t copies = 0, copied_bytes = 0, launches = 0, blocks = 0;
  for (const KernelCounts& kernel : kernels) {
    for (const auto& [operation, count] : kernel.operations)
      operations[operation] = operations.value(operation, uint64_t{0}) + count;
    copies += kernel.copies;
    copied_bytes += kernel.copied_bytes;
    launches += static_cast<uint64_t>(kernel.launches);
    blocks += static_cast<uint64_t>(kernel.blocks);
  }
  result.update({{"operations", operations},
                 {"async_copies", copies},
                 {"async_copied_bytes", copied_bytes},
                 {"launches", launches},
                 {"blocks", blocks}});
  return result;
}

json to_json(const KernelCounts& kernel, const json& static_profile) {
  json result = totals({kernel});
  result.update({{"kernel", kernel.kernel},
                 {"launched_at", kernel.launched_at},
                 {"threads", kernel.threads},
                 {"shared_bytes", kernel.shared_bytes},
                 {"cluster_blocks", kernel.cluster},
                 {"cooperative", kernel.cooperative},
                 {"static", static_profile},
                 {"lines", json::array()}});
  for (const simt::SiteCounts& site : kernel.sites) {
    json line = to_json(site.counts);
    line.update(
        {{"place", source_path(site.place)}, {"memory", name(site.memory)}, {"kind", name(site.kind)}});
    result["lines"].push_back(line);
  }
  return result;
}

// The whole case, counted once; a variant whose outputs are wrong gets no figure.
json count_variant(const AnyOperation& operation, size_t variant, const Verifier& verifier,
                   const StaticProfile& profile) {
  const VariantInfo& about = operation.variant(variant);
  json result = {{"variant", about.name}, {"verified", false}};
  std::vector<KernelCounts> kernels;
  try {
    Problem problem(operation.clone(verifier.inputs().args()), Device::simt);
    problem.load_inputs(verifier.inputs());
    problem.poison_outputs();
    const simt::Counting counting;
    operation.run(variant, problem.args(), Stream::current(Device::simt));
    kernels = counting.kernels();
    std::string why_not = problem.damage(verifier.inputs());
    if (why_not.empty()) why_not = verifier.judge_outputs(problem, Device::simt);
    if (!why_not.empty()) {
      result["why_not"] = why_not;
      return result;
    }
  } catch (const Error& error) {  // what the emulator found
    result["why_not"] = error.what();
    return result;
  }
  result["verified"] = true;
  result.update(totals(kernels));
  const uint64_t sectors = result["global"]["loads"]["transactions"].get<uint64_t>() +
                           result["global"]["stores"]["transactions"].get<uint64_t>();
  result["moved_bytes"] = sector_bytes * sectors;
  result["kernels"] = json::array();
  for (const KernelCounts& kernel : kernels)
    result["kernels"].push_back(to_json(kernel, profile.of(source_path(about.file), kernel)));
  return result;
}

json count_case(const BenchCase& work, const StaticProfile& profile) {
  const auto& [chosen, type, of] = work;
  const AnyOperation& operation = *chosen;
  const Verifier verifier(operation, type, of, 1);
  const AnyArgs& args = verifier.inputs().args();
  const Cost cost = operation.cost(args);
  json result = {{"op", operation.name()},   {"case", of.name},     {"dtype", to_string(type)},
                 {"device", "simt"},         {"flops", cost.flops}, {"bytes", cost.bytes},
                 {"variants", json::array()}};
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    if (operation.variant(i).device != Device::simt || !operation.supports(i, args).empty()) continue;
    json counted = count_variant(operation, i, verifier, profile);
    counted["default"] = i == select(operation, args, type, Device::simt).variant;
    if (counted["verified"].get<bool>() && cost.bytes > 0)
      counted["moved_over_least"] = counted["moved_bytes"].get<double>() / cost.bytes;
    result["variants"].push_back(counted);
  }
  return result;
}

double ratio(const json& counts, const char* numerator, const char* denominator) {
  const double below = counts[denominator].get<double>();
  return below > 0 ? counts[numerator].get<double>() / below : 0;
}

std::string size_of(double bytes) {
  char text[32];
  for (const char* unit : {"B", "KB", "MB", "GB"}) {
    if (bytes < 1000 || unit == std::string_view("GB")) {
      std::snprintf(text, sizeof text, *unit == 'B' ? "%.0f %s" : "%.1f %s", bytes, unit);
      break;
    }
    bytes /= 1000;
  }
  return text;
}

std::string with_least(const json& counts) {
  if (counts["requests"] == 0) return "-";
  char text[40];
  std::snprintf(text, sizeof text, "%.2f (%.2f)", ratio(counts, "transactions", "requests"),
                ratio(counts, "least_transactions", "requests"));
  return text;
}

uint64_t operation_count(const json& counts, const char* key) {
  return counts["operations"].value(key, uint64_t{0});
}

// Bank conflicts: wavefronts beyond the least, of loads and stores, over the least.
std::string conflicts(const json& shared) {
  double taken = 0, least = 0;
  for (const char* kind : {"loads", "stores"}) {
    taken += shared[kind]["transactions"].get<double>();
    least += shared[kind]["least_transactions"].get<double>();
  }
  if (least == 0) return "-";
  char text[40];
  std::snprintf(text, sizeof text, "%.0f %%", 100 * (taken - least) / least);
  return text;
}

double lanes_in_request(const json& counts) {
  double lanes = 0, requests = 0;
  for (const char* memory : {"global", "shared", "cluster"})
    for (const auto& [kind, each] : counts[memory].items()) {
      lanes += each["lanes"].get<double>();
      requests += each["requests"].get<double>();
    }
  return requests > 0 ? lanes / requests : 0;
}

void print_row(const json& v, double least_bytes) {
  const json& global = v["global"];
  const double blocks = std::max(1.0, v["blocks"].get<double>());
  const double products = static_cast<double>(operation_count(v, "mma") + operation_count(v, "mma of tf32"));
  std::printf("  %-24s %9s %9s %7.2f %15s %15s %9s %6.1f %9.1f %9.0f %9.0f %9.0f\n",
              (v["variant"].get<std::string>() + (v["default"].get<bool>() ? " *" : "")).c_str(),
              size_of(sector_bytes * global["loads"]["transactions"].get<double>()).c_str(),
              size_of(sector_bytes * global["stores"]["transactions"].get<double>()).c_str(),
              least_bytes > 0 ? v["moved_bytes"].get<double>() / least_bytes : 0,
              with_least(global["loads"]).c_str(), with_least(global["stores"]).c_str(),
              conflicts(v["shared"]).c_str(), lanes_in_request(v),
              static_cast<double>(operation_count(v, "sync_threads")) / blocks,
              global["atomics"]["lanes"].get<double>() + v["shared"]["atomics"]["lanes"].get<double>() +
                  v["cluster"]["atomics"]["lanes"].get<double>(),
              products, v["async_copies"].get<double>());
}

// The lines whose requests cost the most transactions beyond the least.
void print_worst_lines(const json& v) {
  std::vector<json> lines;
  for (const json& kernel : v["kernels"])
    for (const json& line : kernel["lines"])
      if (line["transactions"].get<uint64_t>() > line["least_transactions"].get<uint64_t>())
        lines.push_back(line);
  const auto beyond = [](const json& line) {
    return line["transactions"].get<uint64_t>() - line["least_transactions"].get<uint64_t>();
  };
  std::stable_sort(lines.begin(), lines.end(),
                   [&](const json& a, const json& b) { return beyond(a) > beyond(b); });
  for (size_t i = 0; i < std::min(lines.size(), lines_shown); ++i) {
    const json& line = lines[i];
    const char* unit = line["kind"] == "atomics"    ? "turns"
                       : line["memory"] == "shared" ? "wavefronts"
                                                    : "sectors";
    std::printf("      %s: %s %s take %.2f %s a request, %.2f at least; %llu requests\n",
                line["place"].get<std::string>().c_str(), line["memory"].get<std::string>().c_str(),
                line["kind"].get<std::string>().c_str(), ratio(line, "transactions", "requests"), unit,
                ratio(line, "least_transactions", "requests"), line["requests"].get<unsigned long long>());
  }
}

std::string mix_of(const json& profile) {
  if (!profile.contains("mix")) return "";
  double all = 0;
  std::vector<std::pair<double, std::string>> kinds;
  for (const auto& [kind, count] : profile["mix"].items()) {
    all += count.get<double>();
    kinds.emplace_back(-count.get<double>(), kind);
  }
  std::sort(kinds.begin(), kinds.end());
  char text[64];
  std::snprintf(text, sizeof text, "; %.0f instructions:", all);
  std::string line = text;
  for (size_t i = 0; i < std::min<size_t>(kinds.size(), 6); ++i) {
    std::snprintf(text, sizeof text, " %s %.0f %%", kinds[i].second.c_str(), -100 * kinds[i].first / all);
    line += text;
  }
  return line;
}

void print_static(const json& v) {
  for (const json& kernel : v["kernels"])
    for (const auto& [arch, profile] : kernel["static"].items())
      std::printf(
          "      %s on %s: %d registers, %ld threads a block: %d blocks together, %.0f %% of the warps, "
          "limited by %s%s\n",
          kernel["kernel"].get<std::string>().c_str(), arch.c_str(), profile["registers"].get<int>(),
          kernel["threads"].get<long>(), profile["blocks"].get<int>(),
          100 * profile["occupancy"].get<double>(), profile["limited_by"].get<std::string>().c_str(),
          mix_of(profile).c_str());
}

void print(const json& result) {
  const double least = result["bytes"].get<double>();
  std::printf("%s, %s, %s, counted on simt; at least %s move\n", result["op"].get<std::string>().c_str(),
              result["case"].get<std::string>().c_str(), result["dtype"].get<std::string>().c_str(),
              size_of(least).c_str());
  std::printf("  %-24s %9s %9s %7s %15s %15s %9s %6s %9s %9s %9s %9s\n", "variant", "loaded", "stored",
              "times", "sectors/load", "sectors/store", "conflicts", "lanes", "barriers", "atomics", "mma",
              "copies");
  for (const json& v : result["variants"]) {
    if (!v["verified"].get<bool>()) {
      std::printf("  %-24s no figure: %s\n", v["variant"].get<std::string>().c_str(),
                  v["why_not"].get<std::string>().c_str());
      continue;
    }
    print_row(v, least);
    print_worst_lines(v);
    print_static(v);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

void add_count_options(CLI::App& command, std::string& static_file) {
  constexpr const char* usual = "docs/benchmarks/ptxas.json";
  if (std::filesystem::exists(usual)) static_file = usual;
  command
      .add_option("--static", static_file,
                  "With --device simt: registers and instructions of the kernels, as tools/ptxas writes them")
      ->capture_default_str();
}

void count_variants(const std::vector<BenchCase>& works, const std::string& static_file,
                    const std::string& json_file) {
  { const simt::Counting possible; }  // or it says why not
  const StaticProfile profile = static_file.empty() ? StaticProfile() : StaticProfile(static_file);
  json report = machine_and_build();
  report["results"] = json::array();
  for (const BenchCase& work : works) {
    report["results"].push_back(count_case(work, profile));
    print(report["results"].back());
  }
  if (!json_file.empty()) write_file_atomically(json_file, report.dump(1) + "\n");
  std::printf(
      "*: what a run chooses by default. loaded, stored: in sectors of 32 bytes, no cache; times: both over "
      "the "
      "least\nthat the contract states. sectors: of a request, in parentheses if its bytes lay side by side. "
      "conflicts: "
      "wavefronts of\nshared memory beyond the least. lanes: of 32 in a request. barriers: sync_threads of a "
      "block. "
      "(docs/simt.md)\n");
}

}  // namespace tenon
