#include "kernels/base/timing.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/base/event.h"
#include "kernels/base/philox.h"
#include "kernels/base/verify.h"

namespace tenon {
namespace {

constexpr size_t most_problems = 4096;
constexpr int verified_runs = 2;  // on fresh inputs, at random places; the last run is verified as well

size_t bytes_of(const AnyArgs& args) {
  size_t bytes = 0;
  for (const auto* views : {&args.inputs, &args.outputs})
    for (const auto& [name, view] : *views)
      if (view->defined()) bytes += view->bytes();
  return std::max<size_t>(bytes, 1);
}

// One call on one set of buffers.
struct Slot {
  size_t place;                      // in CaseTiming::variants
  const Verifier* inputs = nullptr;  // whose inputs it gets
  bool verified = false;
};

class Timer {
 public:
  Timer(const AnyOperation& operation, DType dtype, size_t case_index, Device device,
        const TimingOptions& options)
      : operation_(operation),
        device_(device),
        options_(options),
        first_(operation, dtype, case_index, options.seed),
        fresh_(operation, dtype, case_index, options.seed + 1) {}

  CaseTiming run() {
    timing_.cost = operation_.cost(first_.inputs().args());
    make_problems();
    choose_variants();
    leave_out_slow_ones();
    const std::vector<Slot> slots = plan();
    const size_t ahead = problems_.size() / 2;  // by then a problem's memory has left the cache again
    for (size_t i = 0; i < std::min(ahead, slots.size()); ++i) prepare(slots[i], i);
    for (size_t i = 0; i < slots.size(); ++i) {
      if (i + ahead < slots.size()) prepare(slots[i + ahead], i + ahead);
      measure(slots[i], i);
    }
    return std::move(timing_);
  }

 private:
  Problem& problem(size_t slot) { return *problems_[slot % problems_.size()]; }

  void make_problems() {
    const size_t each = bytes_of(first_.inputs().args()), cache = last_level_cache_bytes();
    size_t count = 2 * (cache / (2 * each) + 1);  // even, and one more than fit
    if (count > most_problems || count * each > options_.most_bytes) count = 2;
    timing_.bytes_rotated = count * each;
    timing_.cold = timing_.bytes_rotated > cache;
    for (size_t i = 0; i < count; ++i)
      problems_.push_back(std::make_unique<Problem>(operation_.clone(first_.inputs().args()), device_));
    for (auto& each_problem : problems_) each_problem->load_inputs(first_.inputs());
  }

  void choose_variants() {
    for (size_t i = 0; i < operation_.variant_count(); ++i) {
      if (operation_.variant(i).device != device_) continue;
      if (!operation_.supports(i, first_.inputs().args()).empty()) continue;
      timing_.variants.push_back({.variant = i, .seconds = {}, .why_not = first_.judge(i, device_)});
    }
  }

  // One warm-up run of each, which also says how slow it is.
  void leave_out_slow_ones() {
    std::vector<double> seconds(timing_.variants.size(), INFINITY);
    for (int repeat = 0; repeat < 2; ++repeat)
      for (size_t i = 0; i < seconds.size(); ++i)
        if (timing_.variants[i].why_not.empty())
          seconds[i] = time_once(timing_.variants[i].variant, *problems_[0]);
    const double fastest = seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
    for (size_t i = 0; i < seconds.size(); ++i)
      if (options_.slow_factor > 0 && std::isfinite(seconds[i]) &&
          seconds[i] > options_.slow_factor * fastest)
        timing_.variants[i].why_not = str("left out: ", std::round(seconds[i] / fastest),
                                          " times as slow as the fastest; --slow times it, too");
  }

  std::vector<Slot> plan() const {
    std::vector<Slot> slots;
    const RandomKey random{options_.seed, 0, operation_key("timing")};
    for (int run = 0; run < options_.runs; ++run)
      for (size_t i = 0; i < timing_.variants.size(); ++i)
        if (timing_.variants[i].why_not.empty()) slots.push_back({i, &first_, run == options_.runs - 1});
    const size_t places = timing_.variants.size();
    for (size_t i = 0; i < places; ++i)
      for (uint64_t each = 0; each < verified_runs; ++each) {
        const auto chosen = random(i * verified_runs + each) % static_cast<uint32_t>(options_.runs);
        size_t run = 0;
        for (Slot& slot : slots)
          if (slot.place == i && run++ == chosen) slot = {i, &fresh_, true};
      }
    return slots;
  }

  void prepare(const Slot& slot, size_t index) {
    problem(index).load_inputs(slot.inputs->inputs());
    if (slot.verified) problem(index).poison_outputs();
  }

  void measure(const Slot& slot, size_t index) {
    VariantTiming& timing = timing_.variants[slot.place];
    if (!timing.why_not.empty()) return;
    timing.seconds.push_back(time_once(timing.variant, problem(index)));
    if (!slot.verified) return;
    timing.why_not = problem(index).damage(slot.inputs->inputs());
    if (timing.why_not.empty()) timing.why_not = slot.inputs->judge_outputs(problem(index), device_);
    if (!timing.why_not.empty()) timing.seconds.clear();
  }

  double time_once(size_t variant, Problem& on) const {
    Stream& stream = Stream::current(device_);
    Event begin(device_), end(device_);
    begin.record(stream);
    operation_.run(variant, on.args(), stream);
    end.record(stream);
    end.wait();
    return end.seconds_since(begin);
  }

  const AnyOperation& operation_;
  Device device_;
  TimingOptions options_;
  Verifier first_, fresh_;
  std::vector<std::unique_ptr<Problem>> problems_;
  CaseTiming timing_;
};

}  // namespace

CaseTiming time_case(const AnyOperation& operation, DType dtype, size_t case_index, Device device,
                     const TimingOptions& options) {
  return Timer(operation, dtype, case_index, device, options).run();
}

double quantile(std::vector<double> samples, double share) {
  check(!samples.empty(), "there is no quantile of nothing");
  std::sort(samples.begin(), samples.end());
  const double place = share * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (place - std::floor(place)) * (samples[above] - samples[below]);
}

size_t last_level_cache_bytes() {
  for (int name : {_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
    if (const long bytes = sysconf(name); bytes > 0) return static_cast<size_t>(bytes);
  return 32u << 20;
}

}  // namespace tenon
