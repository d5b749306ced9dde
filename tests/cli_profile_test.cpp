// tenon train --profile, as a person meets it.
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

// A run of 2 epochs with the profile of the steps 3 to 8, trained once.
struct ProfiledRun {
  TemporaryFolder folder;
  fs::path path = folder / "run";
  Outcome outcome =
      tenon_program(tiny_training() + " --epochs 2 --profile --profile-steps 3:8 --out " + path.string());
  json profile = json::parse(read_text(path / "profile.json"), nullptr, false);
};

const ProfiledRun& profiled_run() {
  static const ProfiledRun run;
  INFO(run.outcome.err);
  REQUIRE(run.outcome.code == 0);
  return run;
}

double sum(const json& list, const char* name) {
  double all = 0;
  for (const json& each : list) all += each.at(name).get<double>();
  return all;
}

}  // namespace

TEST_CASE("a profiled run has the losses and the model of one without, bit for bit") {
  CHECK(losses_of(profiled_run().path) == losses_of(trained_run()));
  CHECK(losses_of(trained_run()).size() > 20);
  CHECK(read_text(profiled_run().path / "model.safetensors") ==
        read_text(trained_run() / "model.safetensors"));
  CHECK(read_text(profiled_run().path / "settings.json") == read_text(trained_run() / "settings.json"));
}

TEST_CASE("profile.json accounts for the whole time of its steps, once") {
  const json& profile = profiled_run().profile;
  REQUIRE(profile.is_object());
  CHECK(profile["steps"] == 6);
  CHECK(profile["first_step"] == 3);
  CHECK(profile["last_step"] == 8);
  const double all = profile["seconds"].get<double>();
  CHECK(all > 0);
  double steps = 0;
  for (const json& step : profile["step_seconds"]) steps += step.get<double>();
  CHECK(steps == Approx(all));
  CHECK(sum(profile["sections"], "seconds") == Approx(all));
  CHECK(sum(profile["sections"], "share") == Approx(1));
  CHECK(sum(profile["sections"], "in_operations") + sum(profile["sections"], "elsewhere") == Approx(all));
  double in_operations = 0;
  std::map<std::string, int64_t> calls;
  for (const json& operation : profile["operations"]) {
    CHECK(operation["bytes"].get<double>() > 0);
    if (operation["within"] != "") continue;
    in_operations += operation["seconds"].get<double>();
    calls[operation["op"]] += operation["calls"].get<int64_t>();
  }
  CHECK(profile["peaks"]["copy_gb_s"].get<double>() > 0);
  CHECK(profile["peaks"]["f32_gflops"].get<double>() > 0);
  for (const json& operation : profile["operations"])
    if (operation["dtype"] == "f32") CHECK(operation["bound_seconds"].get<double>() > 0);
  CHECK(in_operations == Approx(sum(profile["sections"], "in_operations")));
  CHECK(calls["adam"] == 6);
  CHECK(calls["gru_sequence"] == 12);  // 2 layers
  CHECK(sum(profile["stages"], "seconds") == Approx(profile["run_seconds"].get<double>()));
}

TEST_CASE("the tables show operations, layers and shares") {
  const std::string& out = profiled_run().outcome.out;
  CHECK_THAT(out, Contains("profile of steps 3 to 8 on cpu"));
  for (const char* shown :
       {"in no section", "gru_sequence_backward", "bert.encoder.layer.*", "rnn.l1", "roofline"})
    CHECK_THAT(out, Contains(shown));
}

TEST_CASE("trace.json holds complete events that nest on each row") {
  const json trace = json::parse(read_text(profiled_run().path / "trace.json"));
  std::map<int, std::string> rows;
  std::map<int, std::vector<std::pair<double, double>>> events;
  std::map<std::string, int> categories;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") {
      if (event["name"] == "thread_name") rows[event["tid"]] = event["args"]["name"];
      continue;
    }
    REQUIRE(event.at("ph") == "X");
    CHECK(event.at("pid") == 1);
    CHECK(!event.at("name").get<std::string>().empty());
    CHECK(event.at("dur").get<double>() >= 0);
    ++categories[event.at("cat")];
    const double begin = event.at("ts");
    events[event.at("tid")].emplace_back(begin, begin + event["dur"].get<double>());
    if (event["cat"] == "operation") CHECK(event.at("args").at("bytes").get<double>() > 0);
  }
  CHECK(categories["step"] == 6);
  CHECK(categories["operation"] > 100);
  CHECK(categories["layer"] > 20);
  for (const auto& [row, list] : events) {
    CHECK(rows.contains(row));
    std::vector<double> open;  // ends of the events around
    for (const auto& [begin, end] : list) {
      constexpr double rounding = 1e-3;
      while (!open.empty() && open.back() <= begin + rounding) open.pop_back();
      if (!open.empty()) CHECK(end <= open.back() + rounding);
      open.push_back(end);
    }
  }
}

TEST_CASE("steps that the run does not have are refused, and leave no folder behind") {
  const TemporaryFolder folder;
  const std::string run = tiny_training() + " --epochs 1 --out " + (folder / "run").string();
  const Outcome late = tenon_program(run + " --profile --profile-steps 90:95");
  CHECK(late.code == 1);
  CHECK_THAT(late.err, Contains("--profile-steps 90:95: steps 1 to 12 are still to be done"));
  CHECK(!fs::exists(folder / "run"));
  for (const char* wrong : {"5", "0:3", "7:3", "a:b", "3:4x"}) {
    const Outcome outcome = tenon_program(run + " --profile --profile-steps " + wrong);
    INFO(wrong);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("write it as 10:60"));
  }
  CHECK(tenon_program(run + " --profile-steps 3:4").code == 2);
}
