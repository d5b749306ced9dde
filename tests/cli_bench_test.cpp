// What a person meets who runs `tenon bench`.
#include <nlohmann/json.hpp>

#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using nlohmann::json;

namespace {

json bench(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string file = (folder / "bench.json").string();
  const Outcome outcome = tenon_program("bench " + arguments + " --json " + file);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  return json::parse(read_text(file));
}

void check_refused(const std::string& arguments, int code, const std::string& sentence) {
  const Outcome outcome = tenon_program("bench " + arguments);
  INFO("bench " << arguments << ": " << outcome.out << outcome.err);
  CHECK(outcome.code == code);
  CHECK(lines_of(outcome.err).size() == 1);
  CHECK_THAT(outcome.err, Catch::Contains(sentence));
}

// One report, which the tests below read and spoil.
const json& small_report() {
  static const json report = bench("gelu --shape 64x100 --verify-seed 7");
  return report;
}

Outcome compare(const json& old, const std::string& arguments = "gelu --shape 64x100") {
  const TemporaryFolder folder;
  write_text(folder / "old.json", old.dump());
  return tenon_program("bench " + arguments + " --compare " + (folder / "old.json").string());
}

void for_each_variant(json& report, const std::function<void(json&)>& change) {
  for (json& variant : report["results"][0]["variants"])
    if (variant["verified"]) change(variant);
}

}  // namespace

TEST_CASE("bench times the gradient at a shape and in an element type of one's own") {
  const json report = bench("layer_norm --backward --shape 64x100 --shape 3x7 --dtype bf16");
  REQUIRE(report["results"].size() == 2);
  const json& result = report["results"][0];
  CHECK(result["op"] == "layer_norm_backward");
  CHECK(result["case"] == "64x100");
  CHECK(result["dtype"] == "bf16");
  CHECK(report["results"][1]["case"] == "3x7");
}

TEST_CASE("a report says on what it was measured, what that can do, and how steady its clock was") {
  const json& report = small_report();
  for (const char* key : {"processor", "threads", "compiler", "flags", "revision", "dirty", "date"})
    CHECK(report.contains(key));
  CHECK(report["seed"] == 7);
  CHECK(report["device"]["copy_gigabytes_per_second"].get<double>() > 0);
  CHECK(report["device"].contains("clock_mhz"));
  const json& result = report["results"][0];
  CHECK(result["product_gflops"].get<double>() > 0);
  CHECK(result["ceiling"]["read_gigabytes_per_second"].get<double>() > 0);
  CHECK(result["clock_drift"].get<double>() >= 0);
  CHECK(result["clock_loop_ms"].size() == 20);
  bool has_default = false;
  for (const json& variant : result["variants"]) {
    if (!variant["verified"]) continue;
    CHECK(variant["samples_ms"].size() == 20);
    CHECK(variant["share_of_copy"].get<double>() > 0);
    CHECK(variant["share_of_product"].get<double>() > 0);
    const auto interval = variant["time_over_default_interval"].get<std::vector<double>>();
    CHECK(interval[0] <= variant["time_over_default"].get<double>());
    CHECK(interval[1] >= variant["time_over_default"].get<double>());
    has_default |= variant["default"].get<bool>();
  }
  CHECK(has_default);
}

TEST_CASE("an earlier report is compared with: no difference, faster, slower") {
  const Outcome same = compare(small_report());
  INFO(same.out << same.err);
  CHECK(same.code == 0);
  CHECK_THAT(same.out, Catch::Contains("of its time then, 99 % interval"));
  for (const auto& [factor, verdict] : {std::pair(10.0, "faster"), std::pair(0.1, "slower")}) {
    json other = small_report();
    for_each_variant(other, [factor = factor](json& variant) {
      for (json& sample : variant["samples_ms"]) sample = factor * sample.get<double>();
    });
    CHECK_THAT(compare(other).out, Catch::Contains(verdict));
  }
}

TEST_CASE("a report of another machine, shape or element type is refused") {
  const auto check_refused = [](const Outcome& outcome, const std::string& sentence) {
    INFO(outcome.out << outcome.err);
    CHECK(outcome.code == 1);
    CHECK(lines_of(outcome.err).size() == 1);
    CHECK_THAT(outcome.err, Catch::Contains(sentence));
  };
  json other = small_report();
  other["processor"] = "Another Processor";
  check_refused(compare(other), "was measured on another machine (Another Processor");
  other = small_report();
  other["threads"] = 999;
  check_refused(compare(other), "was measured with 999 threads");
  check_refused(compare(small_report(), "gelu --shape 65x100"), "no figure of gelu 65x100 in f32 on cpu");
  check_refused(compare(small_report(), "gelu --shape 64x100 --dtype bf16"),
                "no figure of gelu 64x100 in bf16");
  check_refused(compare(json::object()), "is no file that tenon bench --json writes");
}

TEST_CASE("one bare launch is one, and says so") {
  const Outcome outcome = tenon_program("bench --once layer_norm/plain/64x384");
  CHECK(outcome.code == 0);
  CHECK(outcome.out == "layer_norm=plain ran 64x384 once on cpu; nothing was timed or verified\n");
  CHECK(tenon_program("bench --once layer_norm/plain --shape 3x5").code == 0);
  check_refused("--once layer_norm", 1, "write it as OP/VARIANT/CASE");
  check_refused("--once layer_norm/no_such/64x384", 1, "there is no variant no_such of layer_norm on cpu");
  check_refused("--once layer_norm/plain/no_such", 2, "--case no_such is not a case");
}

TEST_CASE("what cannot be timed is refused by name") {
  check_refused("layer_norm --shape 64", 2, "layer_norm takes a shape ROWSxCOLUMNS, not 64");
  check_refused("layer_norm --shape 64xa", 2, "--shape 64xa is no shape; write it as 8192x768");
  check_refused("layer_norm --shape 64x", 2, "--shape 64x is no shape");
  check_refused("layer_norm --shape 2000000000x2000000000", 2, "give a smaller --shape");
  check_refused("layer_norm --shape 64x384 --case 64x384", 2, "excludes");
  check_refused("adam --backward", 2, "--backward: adam has no gradient");
  check_refused("layer_norm --dtype f8", 2, "f8 is unknown; use f32, bf16, f16 or f64");
  check_refused("layer_norm --runs 19", 2, "--runs");
  check_refused("--file kernels/gelu/no_such.cpp", 2, "this build has no variant for cpu from that file");
  check_refused("--watch no_such.cu", 1, "no_such.cu does not exist");
}

TEST_CASE("only what a source file registers is timed, beside the default") {
  const json report = bench("--file kernels/gelu/gelu.cpp --shape 3x5 --slow");
  CHECK(report["results"][0]["op"] == "gelu");
  CHECK(report["results"][1]["op"] == "gelu_backward");
  for (const json& result : report["results"])
    for (const json& variant : result["variants"])
      CHECK((variant["variant"] == "plain" || variant["default"].get<bool>()));
}
