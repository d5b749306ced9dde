// The bench's promise: no figure for a variant that is wrong, even if only now and then, or whose work is not
// done while the clock runs.
#include "kernels/base/timing.h"

#include <cstring>
#include <map>
#include <utility>

#include "kernels/cpu/speed.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

constexpr int64_t size = 6400;  // bytes of 64 cache lines: no slack before the guarded page
constexpr size_t problem_bytes = 2 * size * sizeof(float);

// y = 2 x, with variants that go wrong in one way each.
struct Twice {
  static constexpr std::string_view name = "twice_for_a_test";
  struct Args {
    TensorView x, y;
  };
  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a) { return {size, static_cast<double>(a.x.bytes() + a.y.bytes())}; }
  static Tolerance tolerance(DType) { return {}; }
};

std::vector<Case<Twice::Args>> Twice::cases(DType dtype) {
  const TensorView matrix(nullptr, dtype, {100, 64});
  std::vector<Case<Args>> cases;
  cases.push_back({"100x64", {matrix, matrix}, false, nullptr});
  return cases;
}

void twice(const Twice::Args& a, Stream&) {
  for (int64_t i = 0; i < a.x.size(); ++i)
    if (a.x.dtype == DType::f64)
      a.y.as<double>()[i] = 2 * a.x.as<double>()[i];
    else
      a.y.as<float>()[i] = 2 * a.x.as<float>()[i];
}

const Register<Twice> plain{{.name = "plain", .dtypes = {DType::f32, DType::f64}, .run = twice}};

void file(std::string_view name, void (*run)(const Twice::Args&, Stream&)) {
  Register<Twice>{{.name = name, .dtypes = {DType::f32}, .run = run}};
}

using Answer = std::vector<float>;
Answer answer_of(const Twice::Args& a) { return {a.y.as<float>(), a.y.as<float>() + size}; }
void put(const Answer& answer, const Twice::Args& a) { std::memcpy(a.y.data, answer.data(), a.y.bytes()); }

volatile float seen = 0;

// What a variant was called with before, if that is not the same and still there: memory that is judged once
// is not.
class LastCall {
 public:
  const Twice::Args* before(const Twice::Args& now) {
    ++sightings_[now.y.data];
    last_ = std::exchange(now_, now);
    return last_.y.data != now.y.data && sightings_[last_.y.data] > 1 ? &last_ : nullptr;
  }

 private:
  std::map<void*, int> sightings_;
  Twice::Args last_, now_;
};

const bool filed = [] {
  file("right", twice);
  file("wrong", [](const Twice::Args& a, Stream& stream) {
    twice(a, stream);
    a.y.as<float>()[size - 1] += 1;
  });
  file("right only the first time", [](const Twice::Args& a, Stream& stream) {
    static bool done = false;
    if (!done) twice(a, stream);
    done = true;
  });
  file("wrong every third time", [](const Twice::Args& a, Stream& stream) {
    static int calls = 0;
    twice(a, stream);
    if (++calls > 10 && calls % 3 == 0) a.y.as<float>()[7] = 0;
  });
  file("keeps its first answer", [](const Twice::Args& a, Stream& stream) {
    static Answer kept;
    if (kept.empty()) {
      twice(a, stream);
      kept = answer_of(a);
    }
    put(kept, a);
  });
  file("keeps an answer by address", [](const Twice::Args& a, Stream& stream) {
    static std::map<void*, Answer> kept;
    if (!kept.count(a.x.data)) {
      twice(a, stream);
      kept[a.x.data] = answer_of(a);
    }
    put(kept[a.x.data], a);
  });
  file("keeps an answer by a look at its input", [](const Twice::Args& a, Stream& stream) {
    static std::map<float, Answer> kept;
    const float look = a.x.as<float>()[1];
    if (!kept.count(look)) {
      twice(a, stream);
      kept[look] = answer_of(a);
    }
    put(kept[look], a);
  });
  file("writes the other output as well", [](const Twice::Args& a, Stream& stream) {
    static LastCall last;
    twice(a, stream);
    if (const auto* before = last.before(a)) twice(*before, stream);
  });
  file("works ahead in secret", [](const Twice::Args& a, Stream& stream) {
    static std::map<void*, Answer> ready;
    static LastCall last;
    if (ready.count(a.y.data))
      put(ready[a.y.data], a);
    else
      twice(a, stream);
    const auto* before = last.before(a);
    if (!before) return;
    Answer& ahead = ready[before->y.data];
    ahead.resize(size);
    for (int64_t i = 0; i < size; ++i) ahead[i] = 2 * before->x.as<float>()[i];
  });
  file("looks past its input", [](const Twice::Args& a, Stream& stream) {
    twice(a, stream);
    seen = a.x.as<float>()[size];
  });
  file("looks before its input", [](const Twice::Args& a, Stream& stream) {
    twice(a, stream);
    for (int64_t i = 0; i < size; ++i) a.y.as<float>()[i] += 0 * a.x.as<float>()[-1];
  });
  file("changes its input", [](const Twice::Args& a, Stream& stream) {
    twice(a, stream);
    a.x.as<float>()[5] = 3;
  });
  file("changes its input later on", [](const Twice::Args& a, Stream& stream) {
    static int calls = 0;
    twice(a, stream);
    if (++calls > 10) a.x.as<float>()[5] = 3;
  });
  return true;
}();

const AnyOperation& operation() { return *find_operation(Twice::name); }

size_t variant(std::string_view name) {
  for (size_t i = 0; i < operation().variant_count(); ++i)
    if (operation().variant(i).name == name) return i;
  FAIL("no variant " << name);
  return 0;
}

// Beside the right one. Two problems each, so that each of them comes back.
VariantTiming time_beside_right(std::string_view name, TimingOptions options = {}) {
  options.contenders = {{variant(name)}, {variant("right")}};
  options.slow_factor = 0;
  options.most_bytes = 4 * problem_bytes;
  const CaseTiming timing = time_case(operation(), DType::f32, 0, Device::cpu, options);
  REQUIRE(timing.variants.size() == 2);
  CHECK(timing.variants[1].why_not == "");  // whoever is beside it is not to blame
  CHECK(timing.variants[1].seconds.size() == 20);
  CHECK(timing.clock_seconds.size() == 20);
  return timing.variants[0];
}

std::string why_no_figure(std::string_view name) {
  const VariantTiming timing = time_beside_right(name);
  CHECK(timing.seconds.empty());
  return timing.why_not;
}

}  // namespace

TEST_CASE("a right variant has a figure of each round") {
  const VariantTiming timing = time_beside_right("plain");
  CHECK(timing.why_not == "");
  CHECK(timing.seconds.size() == 20);
}

TEST_CASE("a wrong variant has no figure") {
  CHECK_THAT(why_no_figure("wrong"), Catch::StartsWith("y[6399] is "));
}

TEST_CASE("a variant that is right only the first time, or now and then wrong, has no figure") {
  CHECK_THAT(why_no_figure("right only the first time"), Catch::StartsWith("in timed run "));
  CHECK_THAT(why_no_figure("wrong every third time"), Catch::Contains("y[7] is 0"));
}

TEST_CASE("a variant that keeps its answer has no figure") {
  CHECK_THAT(why_no_figure("keeps its first answer"),
             Catch::StartsWith("in timed run ") && Catch::Contains(" of 6400 wrong"));
  CHECK_THAT(why_no_figure("keeps an answer by address"),
             Catch::StartsWith("in timed run ") && Catch::Contains(" of 6400 wrong"));
  CHECK_THAT(why_no_figure("keeps an answer by a look at its input"), Catch::Contains(" of 6400 wrong"));
}

TEST_CASE("a variant that works before the clock starts has no figure") {
  CHECK(why_no_figure("writes the other output as well") == "output y was written before the clock started");
  CHECK_THAT(why_no_figure("works ahead in secret"),
             Catch::StartsWith("in timed run ") && Catch::Contains(" of 6400 wrong"));
}

TEST_CASE("a variant that reads outside of its input has no figure, even if nothing comes of it") {
  CHECK(why_no_figure("looks past its input") == "memory outside x was read at byte 25600 of 25600");
  CHECK_THAT(why_no_figure("looks before its input"),
             Catch::StartsWith("y[0] is ") && Catch::Contains("nan"));
}

TEST_CASE("a variant that changes its input has no figure") {
  CHECK(why_no_figure("changes its input") == "input x was written at byte 20 of 25600");
  CHECK_THAT(
      why_no_figure("changes its input later on"),
      Catch::StartsWith("in timed run ") && Catch::EndsWith("input x was written at byte 20 of 25600"));
}

TEST_CASE("a figure beyond what the machine can do is none") {
  int asked_again = 0;
  TimingOptions options;
  options.ceiling = [&](bool again) {
    asked_again += again;
    return Ceiling{.flops = 1, .from = "a test"};
  };
  const auto time_alone = [&] {
    options.contenders = {{variant("right")}};
    return time_case(operation(), DType::f32, 0, Device::cpu, options).variants[0];
  };
  CHECK_THAT(time_alone().why_not,
             Catch::StartsWith("faster than this machine: it would do ") && Catch::EndsWith("(a test)"));
  CHECK(asked_again == 1);
  options.ceiling = [](bool again) { return Ceiling{.flops = again ? 1e15 : 1, .from = "a test"}; };
  CHECK(time_alone().why_not == "");
}

TEST_CASE("cold caches are those that the buffers exceed twice") {
  for (const size_t most_bytes : {2 * problem_bytes, size_t{2} << 30}) {
    TimingOptions options;
    options.contenders = {{variant("right")}};
    options.most_bytes = most_bytes;
    const CaseTiming timing = time_case(operation(), DType::f32, 0, Device::cpu, options);
    CHECK(timing.cold == (timing.bytes_rotated >= 2 * last_level_cache_bytes()));
  }
}

TEST_CASE("fewer than twenty runs are refused, and so is a device without a clock of its own") {
  CHECK_THROWS_WITH(time_case(operation(), DType::f32, 0, Device::cpu, {.runs = 19}),
                    "a figure is of 20 runs or more, not of 19");
  CHECK_THROWS_WITH(time_case(operation(), DType::f32, 0, Device::simt),
                    "times on the simt device would say nothing of a GPU; use --device cpu or cuda");
}
