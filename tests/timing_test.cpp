// The bench's promise: no figure for a variant that is wrong, even if only now and then.
#include "kernels/base/timing.h"

#include "tests/catch.h"

using namespace tenon;

namespace {

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
  static Cost cost(const Args& a) { return {6400, static_cast<double>(a.x.bytes() + a.y.bytes())}; }
  static Tolerance tolerance(DType) { return {}; }
};

std::vector<Case<Twice::Args>> Twice::cases(DType dtype) {
  const TensorView matrix(nullptr, dtype, {100, 64});
  std::vector<Case<Args>> cases;
  cases.push_back({"100x64", {matrix, matrix}, false, nullptr});
  return cases;
}

int calls_of_late = 0, calls_of_lazy = 0;
constexpr int calls_before_timing = 3;  // one verified, two to warm up

void twice(const Twice::Args& a, Stream&) {
  for (int64_t i = 0; i < a.x.size(); ++i)
    if (a.x.dtype == DType::f64)
      a.y.as<double>()[i] = 2 * a.x.as<double>()[i];
    else
      a.y.as<float>()[i] = 2 * a.x.as<float>()[i];
}
void wrong(const Twice::Args& a, Stream& stream) {
  twice(a, stream);
  a.y.as<float>()[6399] += 1;
}
// Right until it is timed, and wrong in its later half.
void late(const Twice::Args& a, Stream& stream) {
  ++calls_of_late <= calls_before_timing + 10 ? twice(a, stream) : wrong(a, stream);
}
// Does nothing once it has been seen to be right.
void lazy(const Twice::Args& a, Stream& stream) {
  if (++calls_of_lazy <= calls_before_timing) twice(a, stream);
}

const Register<Twice> plain{{.name = "plain", .dtypes = {DType::f32, DType::f64}, .run = twice}};
const Register<Twice> wrong_always{{.name = "wrong", .dtypes = {DType::f32}, .run = wrong}};
const Register<Twice> wrong_later{{.name = "late", .dtypes = {DType::f32}, .run = late}};
const Register<Twice> wrong_then{{.name = "lazy", .dtypes = {DType::f32}, .run = lazy}};

}  // namespace

TEST_CASE("only a variant that stays right gets figures") {
  const AnyOperation* operation = find_operation(Twice::name);
  REQUIRE(operation != nullptr);
  const CaseTiming timing = time_case(*operation, DType::f32, 0, Device::cpu, {.runs = 20, .slow_factor = 0});
  REQUIRE(timing.variants.size() == 4);
  for (const VariantTiming& variant : timing.variants) {
    INFO(operation->variant(variant.variant).name << ": " << variant.why_not);
    const bool right = operation->variant(variant.variant).name == "plain";
    CHECK(variant.seconds.size() == (right ? 20u : 0u));
    CHECK(variant.why_not.empty() == right);
  }
  CHECK(timing.cold == (timing.bytes_rotated > last_level_cache_bytes()));
}

TEST_CASE("quantiles are those of the sorted samples, interpolated") {
  const std::vector<double> samples{5, 1, 4, 2, 3};
  CHECK(quantile(samples, 0) == 1);
  CHECK(quantile(samples, 0.5) == 3);
  CHECK(quantile(samples, 1) == 5);
  CHECK(quantile(samples, 0.1) == Approx(1.4));
  CHECK_THROWS_AS(quantile({}, 0.5), Error);
}
