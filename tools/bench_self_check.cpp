#include "tools/bench_self_check.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "kernels/base/select.h"
#include "tools/bench_report.h"
#include "tools/machine.h"

namespace tenon {
namespace {

using nlohmann::json;

constexpr int comparisons = 20, least_covered = 19, least_found = 18, least_rounds = 100;
constexpr double planted = 0.05;

// Its own memory, inputs and order of rounds each time.
json compare_with_itself(const BenchCase& work, Device device, TimingOptions timing, double slowdown) {
  const size_t variant = select(*work.operation, work.of.args, work.dtype, device).variant;
  timing.contenders = {{variant, slowdown}, {variant}};
  const CaseTiming measured = time_case(*work.operation, work.dtype, work.of, device, timing);
  for (const VariantTiming& each : measured.variants)
    check(!each.seconds.empty(), work.operation->name(), "=", work.operation->variant(variant).name,
          " has no figure: ", each.why_not);
  const Interval ratio = paired_ratio(measured.variants[0].seconds, measured.variants[1].seconds);
  std::printf("  %-9s %6.3f, 99 %% interval %.3f - %.3f, clock drift %.1f %%\n",
              slowdown > 0 ? "5 % more" : "itself", ratio.estimate, ratio.low, ratio.high,
              100 * drift(measured.clock_seconds));
  std::fflush(stdout);
  return {{"planted", slowdown},
          {"ratio", ratio.estimate},
          {"interval", {ratio.low, ratio.high}},
          {"rounds", timing.runs},
          {"caches", measured.cold ? "cold" : "warm"},
          {"clock_drift", drift(measured.clock_seconds)}};
}

}  // namespace

void check_bench(const BenchChoice& choice, TimingOptions timing, Device device,
                 const std::string& json_file) {
  BenchChoice chosen = choice;
  if (chosen.operations.empty()) chosen.operations = {"layer_norm"};
  if (chosen.shapes.empty() && chosen.case_name.empty()) chosen.shapes = {"1024x768"};
  const std::vector<BenchCase> works = chosen.works(device);
  check(works.size() == 1, "--self-check takes one operation and one case");
  timing.runs = std::max(timing.runs, least_rounds);
  timing.slow_factor = 0;
  std::printf("%s, %s, %s: %d times against itself and %d times against itself slowed down, in turn\n",
              std::string(works[0].operation->name()).c_str(), works[0].of.name.c_str(),
              to_string(works[0].dtype).c_str(), comparisons, comparisons);
  json report = machine_and_build();
  report["device"] = report_device(device);
  report.update({{"kind", "bench_self_check"},
                 {"op", works[0].operation->name()},
                 {"case", works[0].of.name},
                 {"dtype", to_string(works[0].dtype)},
                 {"comparisons", json::array()}});
  int covered = 0, found = 0;
  for (int i = 0; i < comparisons; ++i)
    for (const double slowdown : {0.0, planted}) {
      timing.seed += 2;
      report["comparisons"].push_back(compare_with_itself(works[0], device, timing, slowdown));
      const json& interval = report["comparisons"].back()["interval"];
      const bool above = interval[0].get<double>() > 1, below = interval[1].get<double>() < 1;
      covered += slowdown == 0 && !above && !below;
      found += slowdown > 0 && above;
    }
  report["covered"] = covered;
  report["found"] = found;
  if (!json_file.empty()) write_file_atomically(json_file, report.dump(1) + "\n");
  std::printf("%d of %d intervals against itself hold 1; %d of %d planted slowdowns were found\n", covered,
              comparisons, found, comparisons);
  check(covered >= least_covered && found >= least_found,
        "the bench is not to be trusted on this machine now: at least ", least_covered, " and ", least_found,
        " of ", comparisons, " were expected");
}

}  // namespace tenon
