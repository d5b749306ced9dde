// tenon bench --end-to-end: the same training with each variant, and what is refused.
#include <nlohmann/json.hpp>

#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::string end_to_end(const std::string& comparison) {
  return "bench --end-to-end " + comparison + " --encoder " + tiny_encoder() + " --data " + tiny_reviews() +
         " --hidden-size 8 --batch-size 8 --steps 12 ";
}

}  // namespace

TEST_CASE("a comparison end to end trains alike with each variant and draws the losses") {
  const TemporaryFolder folder;
  const std::string files =
      "--json " + (folder / "out.json").string() + " --svg " + (folder / "out.svg").string();
  const Outcome outcome = tenon_program(end_to_end("gru_sequence=packed,plain,packed") + files);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json report = json::parse(read_text(folder / "out.json")), result = report.at("end_to_end");
  CHECK(report.contains("processor"));
  REQUIRE(result["variants"].size() == 3);
  for (const json& side : result["variants"]) {
    CHECK(side["losses"].size() == 12);
    CHECK(side["seconds"].size() == 12);
    CHECK(side["times_interval_99"][0].get<double>() <= side["times"].get<double>());
    CHECK(side["times_interval_99"][1].get<double>() >= side["times"].get<double>());
  }
  CHECK(result["variants"][0]["times"] == 1);
  CHECK(result["variants"][1]["largest_deviation"].get<double>() > 0);
  CHECK(result["variants"][1]["largest_deviation"].get<double>() < 1e-4);
  CHECK(result["variants"][2]["largest_deviation"] == 0);
  CHECK(result["variants"][2]["losses"] == result["variants"][0]["losses"]);
  const std::string svg = read_text(folder / "out.svg");
  size_t lines = 0;
  for (size_t at = svg.find("<polyline"); at != svg.npos; at = svg.find("<polyline", at + 1)) ++lines;
  CHECK(lines == 3);
  CHECK(svg.ends_with("</svg>\n"));
}

TEST_CASE("the steps of a comparison are those of tenon train") {
  const TemporaryFolder folder;
  const std::string file = (folder / "out.json").string();
  REQUIRE(tenon_program(end_to_end("gru_sequence=packed,packed") + "--json " + file).code == 0);
  const std::vector<double> trained = losses_of(trained_run());
  const json result = json::parse(read_text(file))["end_to_end"]["variants"][0]["losses"];
  for (size_t i = 0; i < 12; ++i) CHECK(result[i] == trained[i]);
}

TEST_CASE("a comparison that cannot be made says why") {
  const auto refused = [](const std::string& comparison, int code, const std::string& why) {
    const Outcome outcome = tenon_program(end_to_end(comparison));
    INFO(comparison);
    CHECK(outcome.code == code);
    CHECK_THAT(outcome.err, Contains(why));
  };
  refused("gru_sequence=packed,nothing", 2, "gru_sequence has no variant 'nothing'");
  refused("nothing=packed,plain", 2, "there is no operation 'nothing'");
  refused("gru_sequence=packed", 2, "name two variants or more");
  refused("gru_sequence", 2, "write it as operation=variant,variant");
  refused("gru_sequence=packed,persistent", 2, "cannot be had on cpu");
  refused("cross_entropy=plain,plain", 1, "cross_entropy=plain was not called in a training step");
  refused("attention=plain,plain --cache-features", 1, "only without --cache-features");
  CHECK(tenon_program("bench --end-to-end gru_sequence=packed,plain").code == 2);
}
