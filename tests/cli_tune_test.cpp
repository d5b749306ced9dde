// What a person meets of the choice of kernels: --kernel, tenon bench --tune, tenon kernels, and runs that
// are resumed.
#include <nlohmann/json.hpp>

#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Contains;
using nlohmann::json;

namespace {

std::string with_table(const std::filesystem::path& file) { return "TENON_TUNED=" + file.string(); }

// A table that names this variant for every bucket of the operation that `tenon bench --tune` has measured.
std::filesystem::path table_of(const TemporaryFolder& folder, const std::string& operation,
                               const std::string& case_name, const std::string& variant) {
  const auto file = folder / "tuned.json";
  const Outcome tuning =
      tenon_program("bench " + operation + " --tune --slow --case '" + case_name + "'", "", with_table(file));
  INFO(tuning.err);
  REQUIRE(tuning.code == 0);
  CHECK_THAT(tuning.out, Contains(operation + " f32") && Contains("wrote " + file.string()));
  json table = json::parse(read_text(file));
  REQUIRE(table["choices"].size() == 1);
  table["choices"][0]["variant"] = variant;
  write_text(file, table.dump());
  return file;
}

// The variants that `tenon kernels` would choose for a case, and why: "cpu f32 plain tuned".
std::string chosen(const std::string& operation, const std::string& case_name, const std::string& before,
                   const std::string& options = "") {
  const Outcome listed = tenon_program("kernels " + operation + " --json " + options, "", before);
  REQUIRE(listed.code == 0);
  for (const json& variant : json::parse(listed.out))
    for (const json& choice : variant["chosen"])
      if (variant["device"] == "cpu" && choice["case"] == case_name && choice["dtype"] == "f32")
        return variant["variant"].get<std::string>() + " " + choice["why"].get<std::string>();
  return "";
}

}  // namespace

TEST_CASE("bench --tune writes a table that selection goes by, and kernels shows it") {
  const TemporaryFolder folder;
  CHECK(chosen("gelu", "erf 1x1", "") == "vectorised priority");
  const auto file = table_of(folder, "gelu", "erf 1x1", "plain");
  CHECK(chosen("gelu", "erf 1x1", with_table(file)) == "plain tuned");
  CHECK(chosen("gelu", "erf 1x1", with_table(file), "--kernel gelu=vectorised") == "vectorised forced");
  CHECK(chosen("gelu", "erf 1x1", with_table(file) + " TENON_KERNEL=gelu=vectorised") == "vectorised forced");
  CHECK_THAT(tenon_program("kernels gelu", "", with_table(file)).out, Contains("plain") && Contains("tuned"));

  std::string elsewhere = read_text(file);
  const std::string machine = json::parse(elsewhere)["choices"][0]["machine"];
  elsewhere.replace(elsewhere.find(machine), machine.size(), "another processor");
  write_text(file, elsewhere);
  CHECK(chosen("gelu", "erf 1x1", with_table(file)) == "vectorised priority");
}

TEST_CASE("bench --tune says when there is nothing to choose from") {
  const TemporaryFolder folder;
  const Outcome tuning = tenon_program("bench bce_with_logits --tune", "", with_table(folder / "tuned.json"));
  CHECK(tuning.code == 1);
  CHECK_THAT(tuning.err, Contains("nothing to tune"));
  CHECK(!std::filesystem::exists(folder / "tuned.json"));
}

TEST_CASE("a broken table ends a command with a sentence that names it") {
  const TemporaryFolder folder;
  write_text(folder / "tuned.json", "{");
  for (const char* command : {"kernels", "bench gelu --case 'erf 1x1' --tune"}) {
    const Outcome outcome = tenon_program(command, "", with_table(folder / "tuned.json"));
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Contains((folder / "tuned.json").string()) && Contains("not valid JSON"));
  }
}

TEST_CASE("a run records its table, and a resumed one goes by that") {
  const TemporaryFolder folder;
  const auto file = folder / "tuned.json", run = folder / "run";
  table_of(folder, "gelu", "erf 1x1", "plain");
  json table = json::parse(read_text(file));
  table["choices"][0]["op"] = "no_such";
  write_text(file, table.dump());
  const Outcome begun =
      tenon_program(tiny_training() + " --epochs 1 --out " + run.string(), "", with_table(file));
  CHECK(begun.code == 0);
  CHECK_THAT(begun.err, Contains(file.string()) && Contains("no_such=plain"));
  CHECK(!std::filesystem::exists(run / "tuned.json"));  // nothing of it was in force

  // One bucket of a product that every step of this training has: the last linear map on 8 reviews.
  table["choices"][0] = {{"op", "matmul"},
                         {"device", "cpu"},
                         {"machine", table["choices"][0]["machine"]},
                         {"dtype", "f32"},
                         {"shape", "8x16 1x16 1 8x1"},
                         {"variant", "plain"}};
  write_text(file, table.dump());
  const std::string options = tiny_training() + " --epochs 2 --out " + (folder / "tuned").string();
  CHECK(tenon_program(options, "", with_table(file)).code == 0);
  const auto variants = [&] { return json::parse(read_text(folder / "tuned" / "variants.json")); };
  CHECK_THAT(variants()["matmul.cpu"].get<std::string>(), Contains("plain") && Contains(","));
  CHECK(json::parse(read_text(folder / "tuned" / "tuned.json"))["choices"].size() == 1);
  const std::string model = read_text(folder / "tuned" / "model.safetensors");
  const auto again = [&] {  // as after a crash before the first checkpoint
    for (const char* name : {"checkpoints", "variants.json", "model.safetensors"})
      std::filesystem::remove_all(folder / "tuned" / name);
    CHECK(tenon_program(options + " --resume").code == 0);  // there is no table but the run's
    return variants()["matmul.cpu"].get<std::string>();
  };
  CHECK_THAT(again(), Contains("plain") && Contains(","));
  CHECK(read_text(folder / "tuned" / "model.safetensors") == model);
  std::filesystem::remove(folder / "tuned" / "tuned.json");
  CHECK_THAT(again(), !Contains("plain"));
}

TEST_CASE("a forced variant of other element types is refused, and leaves no folder behind") {
  const TemporaryFolder folder;
  const std::string run = " --epochs 1 --out " + (folder / "run").string();
  const Outcome refused =
      tenon_program(tiny_training() + run + " --device simt --kernel attention=flash_mma");
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err, Contains("attention=flash_mma") && Contains("bf16") && Contains("--dtype"));
  CHECK(!std::filesystem::exists(folder / "run"));

  const Outcome idle = tenon_program(tiny_training() + run + " --kernel cross_entropy=plain");
  CHECK(idle.code == 0);
  CHECK_THAT(idle.err, Contains("cross_entropy=plain") && Contains("had no effect"));
}
