#include "kernels/base/profile.h"

#include <chrono>
#include <map>
#include <thread>
#include <unordered_map>

#include "kernels/base/event.h"
#include "kernels/base/memory.h"
#include "kernels/base/ranges.h"

namespace tenon {

std::atomic<bool> detail::recording = false;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t most_marks = 1 << 16;  // that are kept for later; then a step's end waits for them

std::atomic<Profiler::State*> the_profiler = nullptr;

const RangeBackend*& ranges_of(Device device) {
  static const RangeBackend* all[3] = {};
  return all[static_cast<int>(device)];
}

}  // namespace

RegisterRanges::RegisterRanges(Device device, RangeBackend backend) {
  ranges_of(device) = new RangeBackend(backend);
}
const RangeBackend* range_backend(Device device) { return ranges_of(device); }

struct Profiler::State {
  struct Marks {
    std::unique_ptr<Event> begin, end;
  };

  explicit State(Device on) : queued(memory_backend(on).events != nullptr), ranges(range_backend(on)) {
    profile.device = on;
  }

  double now() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  int begin(Span span) {
    span.parent = open;
    span.step = step;
    if (ranges) ranges->push(range_name(span).c_str());
    span.begin = span.host_begin = now();
    if (queued) marks.push_back({mark(), nullptr});
    open = static_cast<int>(profile.spans.size());
    profile.spans.push_back(span);
    return open;
  }

  void end(int index) {
    const auto at = static_cast<size_t>(index);
    Span& span = profile.spans[at];
    if (queued) marks[at - unread()].end = mark();
    span.end = span.host_end = now();
    open = span.parent;
    if (ranges) ranges->pop();
  }

  void end_stage(std::string_view name, double begun) {
    for (Stage& stage : profile.stages)
      if (stage.name == name) {
        ++stage.calls;
        stage.seconds += now() - begun;
        return;
      }
    profile.stages.push_back({std::string(name), 1, now() - begun});
  }

  // The marks of a device's queue are timed from one another: each from the beginning of its step, and that
  // from the step before, since CUDA gives such times in single precision. The first is one that the host
  // waited for, which lays the device's clock over the host's.
  void set_anchor() {
    const Stream& stream = Stream::current(profile.device);
    stream.synchronize();
    anchor = mark();
    anchor->wait();
    anchor_time = now();
  }

  void read_marks() {
    const size_t first = unread();
    for (size_t i = 0; i < marks.size(); ++i) {
      Span& span = profile.spans[first + i];
      if (span.kind == Span::Kind::step) {
        marks[i].end->wait();
        anchor_time += marks[i].begin->seconds_since(*anchor);
        std::swap(anchor, marks[i].begin);
        span.begin = anchor_time;
      } else {
        span.begin = anchor_time + marks[i].begin->seconds_since(*anchor);
      }
      span.end = anchor_time + marks[i].end->seconds_since(*anchor);
      spare.push_back(std::move(marks[i].begin));
      spare.push_back(std::move(marks[i].end));
    }
    marks.clear();
  }

  size_t unread() const { return profile.spans.size() - marks.size(); }

  std::unique_ptr<Event> mark() {
    std::unique_ptr<Event> event;
    if (spare.empty()) {
      event = std::make_unique<Event>(profile.device);
    } else {
      event = std::move(spare.back());
      spare.pop_back();
    }
    event->record(Stream::current(profile.device));
    return event;
  }

  std::string range_name(const Span& span) const {
    if (span.kind == Span::Kind::step) return str("step ", span.step);
    if (span.kind == Span::Kind::section) return std::string(span.name);
    return str(span.name, "/", span.variant, " ", profile.layers[static_cast<size_t>(span.layer)]);
  }

  const bool queued;  // the device's calls return early
  const RangeBackend* const ranges;
  const std::thread::id owner = std::this_thread::get_id();
  const Clock::time_point start = Clock::now();
  int64_t first_step = 0, last_step = -1, step = 0;
  bool in_step = false;  // recorded or not
  int open = -1;         // the innermost span that has not ended
  int open_stages = 0, layer = 0;
  Profile profile;
  std::unordered_map<const void*, int> modules;
  std::map<std::string, int> layers;
  std::unordered_map<const void*, std::vector<int32_t>> host_copies;
  std::vector<Marks> marks;  // of the last spans
  std::vector<std::unique_ptr<Event>> spare;
  std::unique_ptr<Event> anchor;
  double anchor_time = 0;
};

namespace {

Profiler::State* mine() {
  Profiler::State* profiler = the_profiler.load(std::memory_order_relaxed);
  return profiler && profiler->owner == std::this_thread::get_id() ? profiler : nullptr;
}

int layer_named(Profiler::State& profiler, const std::string& name) {
  const auto [found, fresh] = profiler.layers.emplace(name, profiler.profile.layers.size());
  if (fresh) profiler.profile.layers.push_back(name);
  return found->second;
}

}  // namespace

Profiler::Profiler(Device device) : state_(std::make_unique<State>(device)) {
  State* none = nullptr;
  check(the_profiler.compare_exchange_strong(none, state_.get()), "a profile is being taken already");
}

Profiler::~Profiler() {
  detail::recording = false;
  the_profiler = nullptr;
}

void Profiler::record_steps(int64_t first, int64_t last) {
  state_->first_step = first;
  state_->last_step = last;
}

void Profiler::name_layer(const void* module, const std::string& name) {
  state_->modules[module] = layer_named(*state_, name);
}

Profile Profiler::finish() {
  record_steps(0, -1);
  state_->read_marks();
  state_->profile.seconds = state_->now();
  return std::move(state_->profile);
}

ProfiledStep::ProfiledStep(int64_t number) : profiler_(mine()) {
  if (!profiler_) return;
  profiler_->in_step = true;
  profiler_->step = number;
  if (number >= profiler_->first_step && number <= profiler_->last_step) {
    if (profiler_->queued && !profiler_->anchor) profiler_->set_anchor();
    detail::recording = true;
  }
  begin_ = profiler_->now();
  if (profiling()) profiler_->begin({.kind = Span::Kind::step});
}

ProfiledStep::~ProfiledStep() {
  if (!profiler_) return;
  if (profiling()) {
    profiler_->end(profiler_->open);
    detail::recording = false;
    if (profiler_->marks.size() > most_marks || profiler_->step == profiler_->last_step)
      profiler_->read_marks();
  }
  profiler_->host_copies.clear();
  profiler_->in_step = false;
  profiler_->end_stage("training steps", begin_);
}

Section::Section(std::string_view name) : profiler_(mine()), name_(name) {
  if (!profiler_) return;
  if (profiling())
    span_ = profiler_->begin({.kind = Span::Kind::section, .name = name});
  else if (profiler_->in_step || profiler_->open_stages++ > 0)
    begin_ = -1;
  else
    begin_ = profiler_->now();
}

Section::~Section() {
  if (!profiler_) return;
  if (span_ >= 0) {
    profiler_->end(span_);
  } else if (!profiler_->in_step) {
    --profiler_->open_stages;
    if (begin_ >= 0) profiler_->end_stage(name_, begin_);
  }
}

OperationSpan::OperationSpan(std::string_view name, std::string_view variant, DType dtype, Device device,
                             const Cost& cost)
    : profiler_(mine()) {
  if (profiler_)
    span_ = profiler_->begin({.name = name,
                              .variant = variant,
                              .device = device,
                              .dtype = dtype,
                              .layer = profiler_->layer,
                              .cost = cost});
}

OperationSpan::~OperationSpan() {
  if (profiler_) profiler_->end(span_);
}

int current_layer() {
  const Profiler::State* profiler = mine();
  return profiler ? profiler->layer : 0;
}

int layer_of(const void* module) {
  Profiler::State* profiler = mine();
  if (!profiler) return 0;
  const auto found = profiler->modules.find(module);
  return found == profiler->modules.end() ? profiler->layer : found->second;
}

int layer_of(const void* module, size_t part) {
  Profiler::State* profiler = mine();
  if (!profiler) return 0;
  const int whole = layer_of(module);
  return layer_named(*profiler, str(profiler->profile.layers[static_cast<size_t>(whole)], ".l", part));
}

LayerScope::LayerScope(int layer) : profiler_(mine()) {
  if (profiler_) before_ = std::exchange(profiler_->layer, layer);
}

LayerScope::~LayerScope() {
  if (profiler_) profiler_->layer = before_;
}

void remember_on_host(const void* on_device, std::vector<int32_t> values) {
  if (Profiler::State* profiler = mine()) profiler->host_copies[on_device] = std::move(values);
}

void* remembered_on_host(const void* on_device) {
  Profiler::State* profiler = mine();
  if (!profiler) return nullptr;
  const auto found = profiler->host_copies.find(on_device);
  return found == profiler->host_copies.end() ? nullptr : found->second.data();
}

}  // namespace tenon
