#include "tools/bench_tune.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/tuned_file.h"
#include "kernels/base/select.h"

namespace tenon {
namespace {

using nlohmann::json;

// Another variant takes the place of the one by priority only if nine of ten runs were faster.
constexpr double share_that_must_be_faster = 0.9;

// A table that nobody looks at may not take away what is promised of variants that nobody chose.
bool keeps_promises(const VariantInfo& variant) { return variant.deterministic && variant.batch_invariant; }

}  // namespace

void Tuning::begin() {
  clear_forced_variants();
  use_tuned({});
}

bool Tuning::has_choice(const AnyOperation& operation, const AnyArgs& args, Device device) {
  int candidates = 0;
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    const VariantInfo& variant = operation.variant(i);
    candidates +=
        variant.device == device && keeps_promises(variant) && operation.supports(i, args).empty() ? 1 : 0;
  }
  return candidates > 1;
}

void Tuning::add(const Measured& m, const CaseTiming& timing) {
  const std::vector<double>* by_priority = nullptr;
  for (const VariantTiming& each : timing.variants)
    if (each.variant == m.by_priority && !each.seconds.empty()) by_priority = &each.seconds;
  if (!by_priority) return;
  const std::string shape = shape_bucket(m.args.inputs, m.args.outputs);
  Bucket& bucket = buckets_[str(m.operation.name(), " ", m.dtype, " ", m.device, " ", shape)];
  const std::string name(m.operation.variant(m.by_priority).name);
  if (bucket.cases++ == 0) {
    bucket.operation = m.operation.name();
    bucket.shape = shape;
    bucket.dtype = m.dtype;
    bucket.device = m.device;
    bucket.by_priority = name;
  }
  if (bucket.by_priority != name) bucket.by_priority = "?";
  for (const VariantTiming& each : timing.variants) {
    const VariantInfo& variant = m.operation.variant(each.variant);
    if (each.seconds.empty() || !keeps_promises(variant)) continue;
    Bucket::Ratios& ratios = bucket.variants[std::string(variant.name)];
    ++ratios.cases;
    for (size_t i = 0; i < std::min(each.seconds.size(), by_priority->size()); ++i)
      ratios.samples.push_back(each.seconds[i] / (*by_priority)[i]);
  }
}

std::string Tuning::Bucket::fastest() const {
  std::string best = by_priority == "?" ? "" : by_priority;
  double least = 1;
  for (const auto& [name, ratios] : variants) {
    if (name == by_priority || ratios.cases < cases) continue;
    const double median = quantile(ratios.samples, 0.5);
    if (median >= least || quantile(ratios.samples, share_that_must_be_faster) >= 1) continue;
    best = name;
    least = median;
  }
  return best;
}

void Tuning::write() const {
  check(
      !buckets_.empty(),
      "there is nothing to tune: no chosen case has two variants that are deterministic and batch-invariant");
  const auto file = tuned_file();
  check(!file.empty(), "no place for the table: set HOME, or TENON_TUNED to a file");
  json entries = json::array();
  for (const auto& [key, bucket] : buckets_) {
    const std::string variant = bucket.fastest();
    json entry = to_json({bucket.operation, bucket.device, bucket.dtype, bucket.shape, variant});
    std::string figure = "by priority, too";
    if (variant.empty()) {
      figure = "no entry: by priority it differs from case to case, and none is faster in all";
    } else if (variant != bucket.by_priority) {
      const double times = quantile(bucket.variants.at(variant).samples, 0.5);
      entry["times"] = times;
      entry["by_priority"] = bucket.by_priority;
      char text[64];
      std::snprintf(text, sizeof text, "%.2f of the time of ", times);
      figure = text + (bucket.by_priority == "?" ? "what priority chooses" : bucket.by_priority);
    }
    std::printf("%s %s %s: %s (%s)\n", bucket.operation.c_str(), to_string(bucket.dtype).c_str(),
                bucket.shape.c_str(), variant.empty() ? "-" : variant.c_str(), figure.c_str());
    entries.push_back(std::move(entry));
  }
  add_to_tuned_file(file, entries);
  std::printf("wrote %s\n", file.c_str());
}

}  // namespace tenon
