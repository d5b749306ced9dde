// What selection goes by: a forced variant, the table of tuned ones, what a run recorded, priority.
#include "kernels/base/select.h"

#include <nlohmann/json.hpp>

#include "engine/tuned_file.h"
#include "kernels/base/device_name.h"
#include "kernels/base/tuned.h"
#include "tests/io_testing.h"

using namespace tenon;
using Catch::Contains;
using test::TemporaryFolder;

namespace {

int ran = 0;  // number of the variant that ran last

// y = x, by variants that differ in what they take.
struct Same {
  static constexpr std::string_view name = "same_for_a_test";
  struct Args {
    TensorView x, y;
  };
  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType) { return {}; }
  static Cost cost(const Args&) { return {}; }
  static Tolerance tolerance(DType) { return {}; }
};

template <int number>
void run(const Same::Args&, Stream&) {
  ran = number;
}

std::string even(const Same::Args& a) { return a.x.shape[0] % 2 == 0 ? "" : "rows must be even in number"; }

const std::vector<DType> both{DType::f32, DType::bf16};
const Register<Same> plain{{.name = "plain", .priority = 0, .dtypes = both, .run = run<0>}};
const Register<Same> usual{{.name = "usual", .priority = 10, .dtypes = both, .run = run<1>}};
const Register<Same> pairs{
    {.name = "pairs", .priority = 5, .dtypes = {DType::f32}, .supports = even, .run = run<2>}};
const Register<Same> narrow{{.name = "narrow", .priority = 1, .dtypes = {DType::bf16}, .run = run<3>}};
const Register<Same> mixing{
    {.name = "mixing", .priority = 1, .dtypes = {DType::f32}, .batch_invariant = false, .run = run<4>}};

std::string chosen(int64_t rows, DType dtype = DType::f32) {
  const TensorView x(nullptr, dtype, {rows, 5});
  return std::string(select<Same>({x, x}, Device::cpu).name);
}

TunedChoice tuned(const std::string& variant, const std::string& shape = "8x8",
                  const std::string& operation = "same_for_a_test") {
  return {operation, Device::cpu, DType::f32, shape, variant};
}

// As every test finds it, and leaves it.
struct Unbiased {
  Unbiased() { clear(); }
  ~Unbiased() { clear(); }
  static void clear() {
    clear_forced_variants();
    use_tuned({});
    may_pass_over_forced(std::nullopt);
    set_batch_invariant(false);
  }
};

}  // namespace

TEST_CASE("a shape bucket has each size rounded up to a power of two, and each shape once") {
  const auto bucket = [](std::initializer_list<int64_t> x, std::initializer_list<int64_t> y) {
    TensorView a(nullptr, DType::f32, x), b(nullptr, DType::f32, y);
    return shape_bucket({{"x", &a}}, {{"y", &b}});
  };
  CHECK(bucket({1, 2}, {3, 4}) == "1x2 4x4");
  CHECK(bucket({5, 8}, {9}) == "8x8 16");
  CHECK(bucket({4, 64}, {0, 65}) == "4x64 0x128");
  CHECK(bucket({7, 9}, {8, 16}) == "8x16");
  CHECK(bucket({1}, {11}) == "1 16");  // "1" is the beginning of "16" and not the same
  CHECK(bucket({16}, {1, 16}) == "16 1x16");
  CHECK(bucket({int64_t{1} << 40}, {}) == "1099511627776");

  std::vector<TensorView> many(30, TensorView(nullptr, DType::f32, {10, 10}));
  NamedViews views;
  for (TensorView& view : many) views.push_back({"p", &view});
  CHECK(shape_bucket(views, {}) == "4096 elements");
}

TEST_CASE("a forced variant beats a tuned one, that a recorded one, and that priority") {
  const Unbiased state;
  CHECK(chosen(8) == "usual");
  CHECK(prefer_recorded_variants("same_for_a_test=plain") == "");
  CHECK(chosen(8) == "plain");
  use_tuned({tuned("pairs")});
  CHECK(chosen(8) == "pairs");
  CHECK(chosen(9) == "plain");  // in another bucket, 16x8
  force_variants("same_for_a_test=mixing");
  CHECK(chosen(8) == "mixing");
  CHECK(forced_variants() == "same_for_a_test=mixing");
}

TEST_CASE("a table holds for its sizes, its element type and its device alone") {
  const Unbiased state;
  TunedChoice other = tuned("mixing");
  other.device = Device::simt;
  CHECK(use_tuned({tuned("pairs"), other}) == "same_for_a_test=mixing");  // there is none for simt
  for (int64_t rows : {6, 8}) CHECK(chosen(rows) == "pairs");
  for (int64_t rows : {4, 10}) CHECK(chosen(rows) == "usual");
  CHECK(chosen(8, DType::bf16) == "usual");
}

TEST_CASE("where the table's variant cannot run, or breaks a promise, selection goes on") {
  const Unbiased state;
  use_tuned({tuned("pairs")});
  CHECK(chosen(7) == "usual");  // an odd number of rows, though in the bucket
  use_tuned({tuned("mixing")});
  CHECK(chosen(8) == "mixing");
  set_batch_invariant(true);
  CHECK(chosen(8) == "usual");
}

TEST_CASE("variants of a table or a record that the build lacks are named and passed over") {
  const Unbiased state;
  CHECK(use_tuned({tuned("pairs"), tuned("gone"), tuned("gone", "1x1"), tuned("plain", "2x2", "no_such")}) ==
        "no_such=plain,same_for_a_test=gone");
  CHECK(chosen(8) == "pairs");
  CHECK(tuned_choices().size() == 1);
  CHECK(prefer_recorded_variants("same_for_a_test=gone,no_such=plain") ==
        "same_for_a_test=gone,no_such=plain");
}

TEST_CASE("a recorded variant that cannot run gives way") {
  const Unbiased state;
  prefer_recorded_variants("same_for_a_test=pairs");
  CHECK(chosen(8) == "pairs");
  CHECK(chosen(7) == "usual");
}

TEST_CASE("a forced variant that cannot take the arguments says why") {
  const Unbiased state;
  force_variants("same_for_a_test=pairs");
  CHECK(chosen(8) == "pairs");
  CHECK_THAT(error_of([] { chosen(7); }), Contains("same_for_a_test=pairs") && Contains("even in number"));
}

TEST_CASE("a forced variant whose element types a run does not use is refused before it begins") {
  const Unbiased state;
  force_variants("same_for_a_test=narrow");
  const DType full[] = {DType::f32}, mixed[] = {DType::bf16, DType::f32};
  check_forced_variants(Device::cpu, mixed);
  check_forced_variants(Device::cpu);
  CHECK_THAT(error_of([&] { check_forced_variants(Device::cpu, full); }),
             Contains("same_for_a_test=narrow") && Contains("bf16") && Contains("--dtype"));
}

TEST_CASE("in mixed precision a forced variant serves the types that it takes, and must be of use") {
  const Unbiased state;
  force_variants("same_for_a_test=narrow");
  CHECK(forced_without_a_call() == "same_for_a_test=narrow");
  CHECK(chosen(8) == "usual");
  CHECK(forced_without_a_call() == "");
  CHECK_THAT(error_of(check_forced_variants_used), Contains("same_for_a_test=narrow") && Contains("f32"));
  CHECK(chosen(8, DType::bf16) == "narrow");
  CHECK(error_of(check_forced_variants_used) == "");

  may_pass_over_forced(DType::f32);  // as --dtype bf16 does: for products that want tf32, say
  force_variants("same_for_a_test=pairs");
  CHECK(chosen(7) == "usual");
  CHECK_THAT(error_of(check_forced_variants_used), Contains("even in number"));
}

TEST_CASE("a table that is written is read again, by this machine alone") {
  const TemporaryFolder folder;
  const auto file = folder / "cache" / "tuned.json";
  CHECK(read_tuned(file, Device::cpu).empty());
  nlohmann::json ours = to_json(tuned("pairs")), theirs = to_json(tuned("plain"));
  theirs["machine"] = "another processor";
  add_to_tuned_file(file, nlohmann::json::array({ours, theirs}));
  REQUIRE(read_tuned(file, Device::cpu).size() == 1);
  CHECK(read_tuned(file, Device::cpu)[0].variant == "pairs");
  CHECK(read_tuned(file, Device::cpu)[0].shape == "8x8");
  CHECK(read_tuned(file, Device::cpu, Machine::any).size() == 2);
  CHECK(read_tuned(file, Device::cuda).empty());

  ours["variant"] = "usual";
  add_to_tuned_file(file, nlohmann::json::array({ours, to_json(tuned("plain", "2x2"))}));
  CHECK(read_tuned(file, Device::cpu).size() == 2);
  CHECK(read_tuned(file, Device::cpu, Machine::any).size() == 3);
  CHECK(read_tuned(file, Device::cpu)[0].variant == "usual");
  ours["variant"] = "";
  add_to_tuned_file(file, nlohmann::json::array({ours}));
  CHECK(read_tuned(file, Device::cpu).size() == 1);
}

TEST_CASE("what is no table is refused by name") {
  const TemporaryFolder folder;
  const auto file = folder / "tuned.json";
  for (const char* text : {"{\"version\": 1", "[]", "{}", "{\"version\": 2, \"choices\": []}",
                           "{\"version\": 1, \"choices\": [{}]}", "{\"version\": 1, \"choices\": 5}",
                           R"({"version": 1, "choices": [{"device": "tpu", "machine": "m", "op": "gelu",
                               "dtype": "f32", "shape": "1", "variant": "plain"}]})"}) {
    put(folder, "tuned.json", text);
    INFO(text);
    CHECK_THAT(error_of([&] { read_tuned(file, Device::cpu); }),
               Contains(file.string()) && Contains("tenon bench --tune"));
    CHECK_THAT(error_of([&] { add_to_tuned_file(file, {}); }), Contains(file.string()));
  }
}

TEST_CASE("TENON_TUNED says where the table is") {
  const char* before = std::getenv("TENON_TUNED");
  const std::string kept = before ? before : "";
  setenv("TENON_TUNED", "/somewhere/table.json", 1);
  CHECK(tuned_file() == "/somewhere/table.json");
  setenv("TENON_TUNED", "", 1);
  CHECK(tuned_file().empty());
  CHECK(read_tuned(tuned_file(), Device::cpu).empty());
  unsetenv("TENON_TUNED");
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const std::string kept_cache = cache ? cache : "";
  setenv("XDG_CACHE_HOME", "/cache", 1);
  CHECK(tuned_file() == "/cache/tenon/tuned.json");
  unsetenv("XDG_CACHE_HOME");
  if (const char* home = std::getenv("HOME"))
    CHECK(tuned_file() == std::string(home) + "/.cache/tenon/tuned.json");
  if (cache) setenv("XDG_CACHE_HOME", kept_cache.c_str(), 1);
  if (before) setenv("TENON_TUNED", kept.c_str(), 1);
}
