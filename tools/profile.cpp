#include "tools/profile.h"

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "engine/nn/in_layer.h"
#include "engine/train/checkpoint.h"
#include "kernels/base/select.h"
#include "kernels/base/speed.h"
#include "kernels/matmul/matmul.h"
#include "tools/machine.h"

namespace tenon {
namespace {

using nlohmann::json;

struct StepRange {
  int64_t first, last;  // both included
};

StepRange parse_range(const std::string& text) {
  StepRange range{0, 0};
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  bool ok = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  if (ok) {
    const auto last = std::from_chars(first.ptr + 1, end, range.last);
    ok = last.ec == std::errc() && last.ptr == end;
  }
  check(ok && range.first >= 1 && range.last >= range.first, "--profile-steps ", text,
        ": write it as 10:60, the first and the last step to record, counted from 1");
  return range;
}

// Of the element types that were computed in. At the end of a run.
Peaks measured_peaks(const Profile& profile) {
  if (!can_be_timed(profile.device)) return {};
  clear_forced_variants();  // the measure is the default product, whatever the run was told to use
  Peaks peaks{.copy_bytes_per_second = measured_copy(profile.device), .operations = {}};
  for (const Span& span : profile.spans)
    if (span.kind == Span::Kind::operation && has_variant<Matmul>(profile.device, span.dtype) &&
        !peaks.operations.contains(span.dtype))
      peaks.operations[span.dtype] = measured_product(profile.device, span.dtype);
  return peaks;
}

}  // namespace

void TrainingProfile::add_to(CLI::App& command) {
  CLI::Option* flag =
      command.add_flag("--profile", on_,
                       "Record where the time goes, by operation and layer: a table, profile.json and "
                       "trace.json (for Perfetto) in the run's folder");
  command
      .add_option("--profile-steps", steps_,
                  "Steps to record, as A:B, both included (default: 50 steps after 10 to warm up)")
      ->needs(flag);
}

void TrainingProfile::check_usage() const {
  if (!steps_.empty()) parse_range(steps_);
}

void TrainingProfile::start(Device device) {
  if (on_) profiler_.emplace(device);
}

void TrainingProfile::expect_steps(Module& model, int64_t done, int64_t total) {
  if (!on_ || done >= total) return;
  const int64_t left = total - done, skipped = std::min<int64_t>(10, left / 2);
  StepRange range{done + skipped + 1, done + skipped + 50};
  if (!steps_.empty()) range = parse_range(steps_);
  check(range.first <= total && range.last > done, "--profile-steps ", steps_, ": steps ", done + 1, " to ",
        total, " are still to be done in this run");
  name_layers(*profiler_, model);
  profiler_->record_steps(range.first, range.last);
}

void TrainingProfile::finish(const std::filesystem::path& run) {
  if (!on_) return;
  const Profile profile = profiler_->finish();
  json summary = machine_and_build();
  summary.update(summarize(profile, measured_peaks(profile)));
  write_json(run / "profile.json", summary);
  write_file_atomically((run / "trace.json").string(), chrome_trace(profile).dump() + "\n");
  print_profile(summary);
  std::printf("written: %s and trace.json, which https://ui.perfetto.dev opens\n",
              (run / "profile.json").string().c_str());
}

}  // namespace tenon
