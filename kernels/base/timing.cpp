#include "kernels/base/timing.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "kernels/base/disguise.h"
#include "kernels/base/event.h"
#include "kernels/base/philox.h"

namespace tenon {
namespace {

constexpr size_t most_problems = 4096;
constexpr int verified_runs = 3;  // on fresh inputs, at random places; the last run is verified as well
constexpr double warm_up_seconds = 0.03;
constexpr double head_start = 50e-6;  // in which the host enqueues what is timed

double bytes_of(const NamedViews& views) {
  double bytes = 0;
  for (const auto& [name, view] : views)
    if (view->defined()) bytes += static_cast<double>(view->bytes());
  return bytes;
}

// Problems of one contender alone, so that nobody else can have touched one.
struct Side {
  Contender contender;
  double typical = INFINITY;  // seconds, of its fastest warm-up run
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<std::optional<Disguise>> disguises;  // of each problem, for its next run
  std::vector<bool> verified;                      // of each run: on fresh inputs, the last on the first ones
};

class Timer {
 public:
  Timer(const AnyOperation& operation, DType dtype, const AnyCase& of, Device device,
        const TimingOptions& options)
      : operation_(operation),
        device_(device),
        options_(options),
        speed_(speed_backend(device)),
        first_(operation, dtype, of, options.seed),
        fresh_(operation, dtype, of, options.seed, options.seed | 1) {
    check(options.runs >= fewest_runs, "a figure is of ", fewest_runs, " runs or more, not of ",
          options.runs);
  }

  CaseTiming run() {
    timing_.cost = operation_.cost(first_.inputs().args());
    choose_sides();
    warm_up();
    make_problems();
    for (int round = 0; round < options_.runs; ++round) {
      timing_.clock_seconds.push_back(speed_.clock_loop());
      for (size_t place : new_order()) measure(place, round);
    }
    for (size_t place = 0; place < sides_.size(); ++place) judge_afterwards(place);
    return std::move(timing_);
  }

 private:
  bool counts(size_t place) const { return timing_.variants[place].why_not.empty(); }

  void refuse(size_t place, const std::string& why) {
    timing_.variants[place].why_not = why;
    timing_.variants[place].seconds.clear();
    sides_[place].problems.clear();
    sides_[place].disguises.clear();
  }

  std::unique_ptr<Problem> make_problem() const {
    return std::make_unique<Problem>(operation_.clone(first_.inputs().args()), device_);
  }

  void choose_sides() {
    std::vector<Contender> contenders = options_.contenders;
    for (size_t i = 0; i < operation_.variant_count() && options_.contenders.empty(); ++i)
      if (operation_.variant(i).device == device_) contenders.push_back({i});
    for (const Contender& each : contenders) {
      if (!operation_.supports(each.variant, first_.inputs().args()).empty()) continue;
      sides_.push_back({.contender = each});
      timing_.variants.push_back({.variant = each.variant, .why_not = first_.judge(each.variant, device_)});
    }
  }

  // A few runs of each, which also say how slow it is.
  void warm_up() {
    for (size_t place = 0; place < sides_.size(); ++place) {
      if (!counts(place)) continue;
      const auto problem = make_problem();
      problem->load_inputs(first_.inputs());
      Side& side = sides_[place];
      double spent = 0;
      for (int i = 0; i < 100 && (i < 3 || spent < warm_up_seconds); ++i) {
        const double seconds = time_once(side, *problem);
        spent += seconds;
        side.typical = std::min(side.typical, seconds);
      }
    }
    double fastest = INFINITY;
    for (size_t place = 0; place < sides_.size(); ++place)
      if (counts(place)) fastest = std::min(fastest, sides_[place].typical);
    for (size_t place = 0; place < sides_.size(); ++place)
      if (counts(place) && options_.slow_factor > 0 && sides_[place].typical > options_.slow_factor * fastest)
        refuse(place, str("left out: ", std::round(sides_[place].typical / fastest),
                          " times as slow as the fastest; --slow times it, too"));
  }

  // As many as fill the last cache twice, if that is not too many; all are loaded, in the order of their
  // runs.
  void make_problems() {
    size_t active = 0;
    for (size_t place = 0; place < sides_.size(); ++place) active += counts(place);
    if (active == 0) return;
    const NamedViews &inputs = first_.inputs().args().inputs, &outputs = first_.inputs().args().outputs;
    const auto each = static_cast<size_t>(std::max(bytes_of(inputs) + bytes_of(outputs), 1.0));
    const size_t cache = speed_.cache_bytes();
    size_t count = 2 * cache / each / active + 1;  // of each side
    if (count * active > most_problems || count * active * each > options_.most_bytes)
      count = std::max<size_t>(std::min(most_problems, options_.most_bytes / each) / active, 1);
    timing_.bytes_rotated = count * active * each;
    timing_.cold = timing_.bytes_rotated >= 2 * cache;
    for (Side& side : sides_) draw_verified_runs(side);
    for (size_t i = 0; i < count; ++i)
      for (size_t place = 0; place < sides_.size(); ++place) {
        if (!counts(place)) continue;
        sides_[place].problems.push_back(make_problem());
        sides_[place].disguises.emplace_back();
        prepare(place, static_cast<int>(i));
      }
  }

  void draw_verified_runs(Side& side) {
    side.verified.assign(static_cast<size_t>(options_.runs), false);
    side.verified.back() = true;
    for (int i = 0; i < verified_runs; ++i)
      side.verified[random_(drawn_++) % static_cast<uint32_t>(options_.runs - 1)] = true;
  }

  // Each side once, whoever is first.
  std::vector<size_t> new_order() {
    std::vector<size_t> order;
    for (size_t place = 0; place < sides_.size(); ++place)
      if (counts(place)) order.push_back(place);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_(drawn_++) % i]);
    return order;
  }

  bool is_verified(const Side& side, int run) const {
    return run < options_.runs && side.verified[static_cast<size_t>(run)];
  }
  const Verifier& inputs_of(const Side& side, int run) const {
    return is_verified(side, run) && run != options_.runs - 1 ? fresh_ : first_;
  }

  void prepare(size_t place, int run) {
    Side& side = sides_[place];
    const size_t which = static_cast<size_t>(run) % side.problems.size();
    side.disguises[which].emplace(*side.problems[which], inputs_of(side, run).inputs(), device_,
                                  options_.seed + random_(drawn_++));
  }

  void measure(size_t place, int run) {
    Side& side = sides_[place];
    const size_t which = static_cast<size_t>(run) % side.problems.size();
    Problem& problem = *side.problems[which];
    if (const std::string early = side.disguises[which]->written_meanwhile(); !early.empty())
      return refuse(place, early);
    side.disguises[which]->reveal(is_verified(side, run));
    timing_.variants[place].seconds.push_back(time_once(side, problem));
    if (is_verified(side, run)) {
      const Verifier& verifier = inputs_of(side, run);
      std::string wrong = problem.damage(verifier.inputs());
      if (wrong.empty()) wrong = verifier.judge_outputs(problem, device_);
      if (!wrong.empty())
        return refuse(place, str("in timed run ", run + 1, " of ", options_.runs, ": ", wrong));
    }
    if (const int next = run + static_cast<int>(side.problems.size()); next < options_.runs)
      prepare(place, next);
  }

  void judge_afterwards(size_t place) {
    if (!counts(place)) return;
    const VariantTiming& timing = timing_.variants[place];
    std::string why_not = fresh_.judge(timing.variant, device_);
    if (!why_not.empty())
      why_not = "after the timing: " + why_not;
    else
      why_not = beyond_the_ceiling(quantile(timing.seconds, 0.5));
    if (!why_not.empty()) refuse(place, why_not);
  }

  // What is read must come from memory when the caches are cold; what is written may stay in them.
  std::string beyond_the_ceiling(double seconds) const {
    const double read = timing_.cold ? timing_.cost.bytes - bytes_of(first_.inputs().args().outputs) : 0;
    for (const bool again : {false, true}) {
      if (!options_.ceiling) return "";
      const Ceiling most = options_.ceiling(again);
      const auto exceeds = [&](double amount, double limit) { return limit > 0 && amount / seconds > limit; };
      std::string why_not;
      if (exceeds(read, most.read_bytes_per_second))
        why_not =
            str("it would read ", std::round(read / seconds / 1e8) / 10, " GB/s from memory, and at most ",
                std::round(most.read_bytes_per_second / 1e8) / 10, " can be");
      else if (exceeds(timing_.cost.flops, most.flops))
        why_not = str("it would do ", std::round(timing_.cost.flops / seconds / 1e9),
                      " GFLOP/s, and at most ", std::round(most.flops / 1e9), " can be");
      if (why_not.empty()) return "";
      if (again) return str("faster than this machine: ", why_not, " (", most.from, ")");
    }
    return "";
  }

  double time_once(const Side& side, Problem& on) const {
    Stream& stream = Stream::current(device_);
    Event begin(device_), end(device_);
    if (speed_.hold) speed_.hold(stream.handle(), head_start);
    begin.record(stream);
    operation_.run(side.contender.variant, on.args(), stream);
    end.record(stream);
    if (side.contender.slowdown > 0 && std::isfinite(side.typical)) slow_down(side, stream, begin, end);
    end.wait();
    return end.seconds_since(begin);
  }

  void slow_down(const Side& side, Stream& stream, const Event& begin, Event& end) const {
    if (speed_.hold) {
      speed_.hold(stream.handle(), side.contender.slowdown * side.typical);
      return end.record(stream);
    }
    const double until = (1 + side.contender.slowdown) * end.seconds_since(begin);
    while (end.seconds_since(begin) < until) end.record(stream);
  }

  const AnyOperation& operation_;
  Device device_;
  TimingOptions options_;
  const SpeedBackend& speed_;
  Verifier first_, fresh_;
  std::vector<Side> sides_;
  CaseTiming timing_;
  const RandomKey random_{options_.seed, 0, operation_key("timing")};
  uint64_t drawn_ = 0;
};

}  // namespace

CaseTiming time_case(const AnyOperation& operation, DType dtype, const AnyCase& of, Device device,
                     const TimingOptions& options) {
  return Timer(operation, dtype, of, device, options).run();
}

CaseTiming time_case(const AnyOperation& operation, DType dtype, size_t case_index, Device device,
                     const TimingOptions& options) {
  return time_case(operation, dtype, case_at(operation, dtype, case_index), device, options);
}

}  // namespace tenon
