// A profile in Chrome's trace event format ("Trace Event Format", 2016), as complete events: one row for the
// host, one for the device's queue where that is another, and one that shows the layers.
#include <nlohmann/json.hpp>

#include "tools/profile.h"

namespace tenon {
namespace {

using nlohmann::json;
using Kind = Span::Kind;

enum Row { host = 1, queue = 2, layers = 3 };

json complete_event(Row row, const std::string& name, const std::string& category, double begin, double end) {
  return {{"ph", "X"},       {"pid", 1},          {"tid", static_cast<int>(row)}, {"name", name},
          {"cat", category}, {"ts", 1e6 * begin}, {"dur", 1e6 * (end - begin)}};
}

json row_name(Row row, const std::string& name) {
  return {{"ph", "M"},
          {"pid", 1},
          {"tid", static_cast<int>(row)},
          {"name", "thread_name"},
          {"args", {{"name", name}}}};
}

class Trace {
 public:
  explicit Trace(const Profile& profile) : profile_(profile), queued_(profile.device == Device::cuda) {}

  json result() {
    events_.push_back(
        {{"ph", "M"}, {"pid", 1}, {"name", "process_name"}, {"args", {{"name", "tenon train"}}}});
    events_.push_back(row_name(Row::host, "host"));
    if (queued_) events_.push_back(row_name(Row::queue, to_string(profile_.device)));
    events_.push_back(row_name(Row::layers, "layers"));
    for (const Span& span : profile_.spans) {
      add(span, Row::host, span.host_begin, span.host_end);
      if (queued_) add(span, Row::queue, span.begin, span.end);
    }
    add_layers();
    json all = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events_)}};
    all["otherData"]["device"] = to_string(profile_.device);
    if (profile_.device == Device::simt)
      all["otherData"]["note"] = "simt emulates a GPU: the order of operations is real, their times are not";
    return all;
  }

 private:
  const std::string& layer_of(const Span& span) const {
    return profile_.layers[static_cast<size_t>(span.layer)];
  }

  void add(const Span& span, Row row, double begin, double end) {
    if (span.kind == Kind::step) {
      events_.push_back(complete_event(row, str("step ", span.step), "step", begin, end));
    } else if (span.kind == Kind::section) {
      events_.push_back(complete_event(row, std::string(span.name), "section", begin, end));
    } else {
      json event = complete_event(row, std::string(span.name), "operation", begin, end);
      event["args"] = {{"variant", span.variant},        {"layer", layer_of(span)},
                       {"dtype", to_string(span.dtype)}, {"device", to_string(span.device)},
                       {"flops", span.cost.flops},       {"bytes", span.cost.bytes}};
      events_.push_back(std::move(event));
    }
  }

  // One event for operations of a layer that follow one another in the same section.
  void add_layers() {
    const Span* first = nullptr;
    double end = 0;
    const auto close = [&] {
      if (first && first->layer != 0)
        events_.push_back(complete_event(Row::layers, layer_of(*first), "layer", first->begin, end));
    };
    for (const Span& span : profile_.spans) {
      const bool outermost =
          span.parent >= 0 && profile_.spans[static_cast<size_t>(span.parent)].kind != Kind::operation;
      if (span.kind != Kind::operation || !outermost) continue;
      if (!first || first->layer != span.layer || first->parent != span.parent) {
        close();
        first = &span;
      }
      end = span.end;
    }
    close();
  }

  const Profile& profile_;
  const bool queued_;
  json events_ = json::array();
};

}  // namespace

json chrome_trace(const Profile& profile) { return Trace(profile).result(); }

}  // namespace tenon
