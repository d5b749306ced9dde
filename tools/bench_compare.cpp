#include "tools/bench_compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "kernels/base/statistics.h"

namespace tenon {
namespace {

using nlohmann::json;

// What two processes on the same machine differ by for no reason of the kernel's: where their memory lies,
// mostly.
constexpr double between_processes = 0.01;

std::string text(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::vector<double> numbers(const json& from) { return from.get<std::vector<double>>(); }

std::string title(const json& result) {
  return str(text(result["op"]), " ", text(result["case"]), " in ", text(result["dtype"]), " on ",
             text(result["device"]));
}

const json* find(const json& list, const json& like, std::initializer_list<const char*> keys) {
  for (const json& each : list) {
    bool same = true;
    for (const char* key : keys) same &= each.at(key) == like.at(key);
    if (same) return &each;
  }
  return nullptr;
}

// How far apart the clocks of two measurements were, as a share.
double clock_difference(const json& result, const json& old) {
  const double ratio =
      quantile(numbers(result["clock_loop_ms"]), 0.5) / quantile(numbers(old["clock_loop_ms"]), 0.5);
  return ratio > 1 ? ratio - 1 : 1 / ratio - 1;
}

json verdict(const json& variant, const json& old, double slack) {
  Interval ratio = unpaired_ratio(numbers(variant["samples_ms"]), numbers(old["samples_ms"]));
  ratio.low /= 1 + slack, ratio.high *= 1 + slack;
  const char* words = ratio.high < 1 ? "faster" : ratio.low > 1 ? "slower" : "no difference";
  return {{"verdict", words}, {"time_over_old", ratio.estimate}, {"interval", {ratio.low, ratio.high}}};
}

}  // namespace

Comparison::Comparison(const std::string& file, const json& now) : file_(file) {
  if (file.empty()) return;
  old_ = json::parse(read_file(file), nullptr, false);
  const bool is_bench = old_.is_object() && old_.contains("results") && old_.contains("processor") &&
                        old_.contains("threads") && old_.contains("device");
  check(is_bench, file, " is no file that tenon bench --json writes");
  check(old_["threads"] == now["threads"], file, " was measured with ", text(old_["threads"]),
        " threads, this run has ", text(now["threads"]), "; give both the same --threads");
  const std::string then = old_["processor"].get<std::string>() + ", " + text(old_["device"].at("name"));
  const std::string here = now["processor"].get<std::string>() + ", " + text(now["device"].at("name"));
  check(then == here, file, " was measured on another machine (", then, ") than this one (", here,
        "); times are compared on one machine only");
}

void Comparison::print(json& result) {
  if (file_.empty()) return;
  const json* old = find(old_["results"], result, {"op", "case", "dtype", "device"});
  if (!old) {
    if (missing_.empty()) missing_ = title(result);
    std::printf("  %s has no figure of %s\n\n", file_.c_str(), title(result).c_str());
    return;
  }
  if (old->at("caches") != result["caches"]) {
    if (missing_.empty()) missing_ = title(result) + " with " + text(result["caches"]) + " caches";
    std::printf("  not compared: caches were %s in %s\n\n", text(old->at("caches")).c_str(), file_.c_str());
    return;
  }
  compared_ = true;
  const double clocks = clock_difference(result, *old), slack = std::max(between_processes, clocks);
  std::printf("  against %s, of %s%s\n", file_.c_str(),
              text(old_.value("date", json("unknown date"))).c_str(),
              clocks > 0.03 ? str("; the clock differs by ", std::lround(100 * clocks), " %").c_str() : "");
  for (json& variant : result["variants"]) {
    const json* before = find(old->at("variants"), variant, {"variant"});
    if (!variant["verified"].get<bool>() || !before || !before->at("verified").get<bool>()) continue;
    variant["compared"] = verdict(variant, *before, slack);
    const json& said = variant["compared"];
    std::printf("  %-24s %-13s %6.3f of its time then, 99 %% interval %.3f - %.3f\n",
                text(variant["variant"]).c_str(), text(said["verdict"]).c_str(),
                said["time_over_old"].get<double>(), said["interval"][0].get<double>(),
                said["interval"][1].get<double>());
  }
  std::printf("\n");
}

void Comparison::check_any_compared() const {
  check(file_.empty() || compared_, file_, " has nothing to compare with: no figure of ", missing_);
}

}  // namespace tenon
