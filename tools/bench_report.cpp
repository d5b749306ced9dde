#include "tools/bench_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/base/device_name.h"

namespace tenon {
namespace {

using nlohmann::json;

json milliseconds(const std::vector<double>& seconds) {
  json all = json::array();
  for (double each : seconds) all.push_back(1e3 * each);
  return all;
}

// An amount over a rate, over what can be at best; null where either is unknown.
json share(double rate, double best) { return rate > 0 && best > 0 ? json(rate / best) : json(); }

json figures(const VariantTiming& timing, const Cost& cost, double copy, double product) {
  const double median = quantile(timing.seconds, 0.5);
  return {{"median_ms", 1e3 * median},
          {"p10_ms", 1e3 * quantile(timing.seconds, 0.1)},
          {"p90_ms", 1e3 * quantile(timing.seconds, 0.9)},
          {"gflops", cost.flops / median / 1e9},
          {"gigabytes_per_second", cost.bytes / median / 1e9},
          {"share_of_copy", share(cost.bytes / median, copy)},
          {"share_of_product", share(cost.flops / median, product)},
          {"time_over_default", nullptr},
          {"samples_ms", milliseconds(timing.seconds)}};
}

const char* text_of(const json& value) { return value.get_ref<const std::string&>().c_str(); }

// "  43 %", or as many blanks where it is unknown.
std::string percent(const json& share) {
  char text[16] = "        ";
  if (share.is_number()) std::snprintf(text, sizeof text, "%6.1f %%", 100 * share.get<double>());
  return text;
}

}  // namespace

json report_device(Device device) {
  json report = {{"name", device_name(device)}, {"copy_gigabytes_per_second", measured_copy(device) / 1e9}};
  for (const auto& [name, value] : speed_backend(device).facts()) report[name] = value;
  return report;
}

json report_case(const BenchCase& work, Device device, const CaseTiming& timing, size_t default_variant) {
  const auto& [operation, dtype, of] = work;
  const double copy = measured_copy(device), product = measured_product(device, dtype);
  const Ceiling most = ceiling(device, dtype);
  json result = {{"op", operation->name()},
                 {"case", of.name},
                 {"dtype", to_string(dtype)},
                 {"device", to_string(device)},
                 {"flops", timing.cost.flops},
                 {"bytes", timing.cost.bytes},
                 {"caches", timing.cold ? "cold" : "warm"},
                 {"bytes_rotated", timing.bytes_rotated},
                 {"clock_drift", drift(timing.clock_seconds)},
                 {"clock_loop_ms", milliseconds(timing.clock_seconds)},
                 {"product_gflops", product / 1e9},
                 {"ceiling",
                  {{"read_gigabytes_per_second", most.read_bytes_per_second / 1e9},
                   {"gflops", most.flops / 1e9},
                   {"from", most.from}}},
                 {"variants", json::array()}};
  const VariantTiming* by_default = nullptr;
  for (const VariantTiming& each : timing.variants)
    if (each.variant == default_variant && !each.seconds.empty()) by_default = &each;
  for (const VariantTiming& each : timing.variants) {
    json line = {{"variant", operation->variant(each.variant).name},
                 {"default", each.variant == default_variant},
                 {"verified", !each.seconds.empty()}};
    if (each.seconds.empty())
      line["why_not"] = each.why_not;
    else
      line.update(figures(each, timing.cost, copy, product));
    if (by_default && !each.seconds.empty()) {
      const Interval ratio = paired_ratio(each.seconds, by_default->seconds);
      line["time_over_default"] = ratio.estimate;
      line["time_over_default_interval"] = {ratio.low, ratio.high};
    }
    result["variants"].push_back(line);
  }
  return result;
}

void print_device(Device device, DType dtype) {
  std::printf("%s: a copy does %.1f GB/s, a product %.0f GFLOP/s in %s\n\n", device_name(device).c_str(),
              measured_copy(device) / 1e9, measured_product(device, dtype) / 1e9, to_string(dtype).c_str());
}

void print_case(const json& result) {
  std::printf("%s, %s, %s, caches %s\n", text_of(result["op"]), text_of(result["case"]),
              text_of(result["dtype"]), text_of(result["caches"]));
  std::printf("  %-24s %11s %21s %9s %8s %8s %8s %8s %14s\n", "variant", "median ms", "10 % - 90 %",
              "GFLOP/s", "product", "GB/s", "copy", "times", "99 %");
  for (const json& v : result["variants"]) {
    const std::string name = v["variant"].get<std::string>() + (v["default"].get<bool>() ? " *" : "");
    if (!v["verified"].get<bool>()) {
      std::printf("  %-24s no figure: %s\n", name.c_str(), text_of(v["why_not"]));
      continue;
    }
    std::printf("  %-24s %11.4f %10.4f-%10.4f %9.1f %s %8.1f %s", name.c_str(), v["median_ms"].get<double>(),
                v["p10_ms"].get<double>(), v["p90_ms"].get<double>(), v["gflops"].get<double>(),
                percent(v["share_of_product"]).c_str(), v["gigabytes_per_second"].get<double>(),
                percent(v["share_of_copy"]).c_str());
    if (v["time_over_default"].is_number())
      std::printf(" %8.3f %6.3f - %5.3f", v["time_over_default"].get<double>(),
                  v["time_over_default_interval"][0].get<double>(),
                  v["time_over_default_interval"][1].get<double>());
    std::printf("\n");
  }
  if (const double drifted = result["clock_drift"]; drifted > steady_clock_drift)
    std::printf(
        "  the clock drifted by %.0f %% meanwhile: trust the times over the default rather than "
        "milliseconds\n",
        100 * drifted);
  std::printf("\n");
  std::fflush(stdout);
}

void print_legend() {
  std::printf(
      "*: what a run chooses by default; times: its time over the default's, round by round, with an "
      "interval of 99 %%;\n"
      "product, copy: share of what a measured product and a measured copy do on this machine\n");
}

}  // namespace tenon
