// Sums up the spans of a profile. Every instant of a step counts once: for the section it lies in, and there
// for the outermost operation or for what lies between operations.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "tools/profile.h"

namespace tenon {
namespace {

using nlohmann::json;
using Kind = Span::Kind;

double seconds_of(const Span& span) { return span.end - span.begin; }

struct SectionSum {
  int64_t calls = 0;
  double seconds = 0, in_operations = 0;  // without nested sections
};

struct OperationSum {
  int64_t calls = 0;
  double seconds = 0, host_seconds = 0, flops = 0, bytes = 0;
  double bound = 0;  // the least seconds that the machine's peaks allow
};

// section, operation, variant, device, dtype, layer, and for what runs inside of another: within which
using OperationKey =
    std::tuple<std::string, std::string, std::string, std::string, std::string, std::string, std::string>;

class Sums {
 public:
  Sums(const Profile& profile, const Peaks& peaks)
      : profile_(profile), peaks_(peaks), timed_(profile.device != Device::simt) {
    for (const Span& span : profile.spans) add(span);
  }

  json result() const {
    json all = {{"device", to_string(profile_.device)},
                {"timed", timed_},
                {"steps", step_seconds_.size()},
                {"seconds", time(total())},
                {"sections", sections()},
                {"operations", operations()},
                {"stages", stages()},
                {"run_seconds", time(profile_.seconds)},
                {"peaks", peaks()}};
    if (!step_seconds_.empty()) {
      all["first_step"] = profile_.spans.front().step;
      all["last_step"] = profile_.spans.back().step;
      if (timed_) all["step_seconds"] = step_seconds_;
    }
    return all;
  }

 private:
  json time(double seconds) const { return timed_ ? json(seconds) : json(); }
  json share(double seconds) const { return timed_ && total() > 0 ? json(seconds / total()) : json(); }

  double total() const {
    double sum = 0;
    for (double each : step_seconds_) sum += each;
    return sum;
  }

  const Span& parent_of(const Span& span) const { return profile_.spans[static_cast<size_t>(span.parent)]; }

  // The innermost section around a span, the step itself where there is none.
  std::string section_of(const Span& span) const {
    const Span* around = &span;
    while (around->kind == Kind::operation) around = &parent_of(*around);
    return around->kind == Kind::step ? "" : std::string(around->name);
  }

  void add(const Span& span) {
    if (span.kind == Kind::step) step_seconds_.push_back(seconds_of(span));
    if (span.kind == Kind::operation) return add_operation(span);
    SectionSum& own = sections_[section_of(span)];
    ++own.calls;
    own.seconds += seconds_of(span);
    if (span.parent >= 0) sections_[section_of(parent_of(span))].seconds -= seconds_of(span);
  }

  void add_operation(const Span& span) {
    const bool outermost = parent_of(span).kind != Kind::operation;
    if (outermost) sections_[section_of(span)].in_operations += seconds_of(span);
    OperationSum& sum = operations_[{section_of(span), std::string(span.name), std::string(span.variant),
                                     to_string(span.device), to_string(span.dtype),
                                     profile_.layers[static_cast<size_t>(span.layer)],
                                     outermost ? "" : std::string(parent_of(span).name)}];
    ++sum.calls;
    sum.seconds += seconds_of(span);
    sum.host_seconds += span.host_end - span.host_begin;
    sum.flops += span.cost.flops;
    sum.bytes += span.cost.bytes;
    sum.bound += bound(span);
  }

  // The least seconds by what was measured of the machine; NaN: not known.
  double bound(const Span& span) const {
    const auto product = peaks_.operations.find(span.dtype);
    const bool known = peaks_.copy_bytes_per_second > 0 && span.device == profile_.device &&
                       ((product != peaks_.operations.end() && product->second > 0) || span.cost.flops == 0);
    if (!known) return NAN;
    const double copying = span.cost.bytes / peaks_.copy_bytes_per_second;
    return span.cost.flops == 0 ? copying : std::max(copying, span.cost.flops / product->second);
  }

  json sections() const {
    json all = json::array();
    for (const auto& [name, sum] : sections_)
      all.push_back({{"section", name},
                     {"calls", sum.calls},
                     {"seconds", time(sum.seconds)},
                     {"share", share(sum.seconds)},
                     {"in_operations", time(sum.in_operations)},
                     {"elsewhere", time(sum.seconds - sum.in_operations)}});
    return all;
  }

  json operations() const {
    json all = json::array();
    for (const auto& [key, sum] : operations_) {
      const auto& [section, name, variant, device, dtype, layer, within] = key;
      const bool bounded = timed_ && sum.seconds > 0 && !std::isnan(sum.bound);
      all.push_back({{"op", name},
                     {"variant", variant},
                     {"section", section},
                     {"layer", layer},
                     {"within", within},
                     {"device", device},
                     {"dtype", dtype},
                     {"calls", sum.calls},
                     {"seconds", time(sum.seconds)},
                     {"host_seconds", time(sum.host_seconds)},
                     {"share", share(sum.seconds)},
                     {"flops", sum.flops},
                     {"bytes", sum.bytes},
                     {"bound_seconds", bounded ? json(sum.bound) : json()},
                     {"roofline_share", bounded ? json(sum.bound / sum.seconds) : json()}});
    }
    return all;
  }

  json stages() const {
    json all = json::array();
    double known = 0;
    for (const Stage& stage : profile_.stages) {
      all.push_back({{"stage", stage.name}, {"calls", stage.calls}, {"seconds", time(stage.seconds)}});
      known += stage.seconds;
    }
    all.push_back({{"stage", "elsewhere"}, {"calls", 0}, {"seconds", time(profile_.seconds - known)}});
    return all;
  }

  json peaks() const {
    if (peaks_.copy_bytes_per_second == 0) return nullptr;
    json all = {{"copy_gb_s", peaks_.copy_bytes_per_second / 1e9}};
    for (const auto& [dtype, operations] : peaks_.operations)
      all[to_string(dtype) + "_gflops"] = operations / 1e9;
    return all;
  }

  const Profile& profile_;
  const Peaks peaks_;
  const bool timed_;
  std::vector<double> step_seconds_;
  std::map<std::string, SectionSum> sections_;
  std::map<OperationKey, OperationSum> operations_;
};

}  // namespace

json summarize(const Profile& profile, const Peaks& peaks) { return Sums(profile, peaks).result(); }

}  // namespace tenon
