// What every command prints and writes: the formats that other programs read.
#include "tests/cli.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/io/load.h"
#include "engine/io/safetensors.h"
#include "engine/io/sha256.h"
#include "kernels/simt/emulator.h"

using namespace tenon;
using namespace tenon::test;
using nlohmann::json;

namespace {

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> values;
  for (const std::string& line : lines_of(text)) values.push_back(json::parse(line));
  return values;
}

}  // namespace

TEST_CASE("every command has a help with an example, and exits with 0") {
  CHECK(tenon_program("--help").code == 0);
  CHECK(tenon_program("--version").out.find("0.") != std::string::npos);
  for (const std::string command : {"train", "eval", "predict", "encode", "tokenize", "inspect", "convert",
                                    "kernels", "bench", "generate"}) {
    const Outcome help = tenon_program(command + " --help");
    INFO(command << help.err);
    CHECK(help.code == 0);
    CHECK(help.out.find("Example") != std::string::npos);
    CHECK(help.out.find("tenon " + command) != std::string::npos);
  }
}

TEST_CASE("wrong usage exits with 2 and one sentence") {
  const std::string train = tiny_training() + " --out /nonexistent/run ";
  for (const std::string& arguments :
       {std::string(), std::string("no-such-command"), std::string("kernels --no-such-flag"),
        std::string("train"), std::string("predict"), train + "--batch-size 0", train + "--epochs x",
        train + "--recipe best", train + "--device tpu", train + "--kernel matmul=none",
        train + "--threads -1", train + "--dtype fp8", std::string("bench no_such_operation")}) {
    const Outcome outcome = tenon_program(arguments);
    INFO(arguments << "\n" << outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.err.starts_with("tenon: "));
    CHECK(lines_of(outcome.err).size() == 1);
  }
}

TEST_CASE("tokenize --jsonl prints the ids with their special tokens") {
  const auto lines =
      json_lines(tenon_program("tokenize " + tiny_encoder() + " --jsonl 'The film is great.' 'bad'").out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["ids"].size() == 7);
  CHECK(lines[0]["ids"].front() == 2);
  CHECK(lines[0]["ids"].back() == 3);
  CHECK(lines[1]["ids"].size() == 3);
  CHECK(json_lines(tenon_program("tokenize " + tiny_encoder() + " --jsonl", "bad\n").out)[0] == lines[1]);
}

TEST_CASE("encode writes packed hidden states under the stable names") {
  const TemporaryFolder folder;
  const std::string out = (folder / "x.safetensors").string();
  const Outcome outcome =
      tenon_program("encode " + tiny_encoder() + " 'the film is great' bad --all-layers --out " + out);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const TensorFile file = read_safetensors(out);
  const auto shape = [&](const char* name) {
    const TensorEntry* entry = file.find(name);
    REQUIRE(entry != nullptr);
    return to_string(entry->view);
  };
  CHECK(shape("input_ids") == "(9) i32");
  CHECK(shape("cu_seqlens") == "(3) i32");
  CHECK(shape("last_hidden_state") == "(9, 32) f32");
  for (const char* layer : {"hidden_states.0", "hidden_states.1", "hidden_states.2", "hidden_states.3"})
    CHECK(shape(layer) == "(9, 32) f32");
  CHECK(file.entries().size() == 7);
}

TEST_CASE("train writes a run whose metrics have the stable keys") {
  std::set<std::string> step, epoch, last;
  for (const json& line : json_lines(read_text(trained_run() / "metrics.jsonl"))) {
    auto& keys = line.contains("test_loss") ? last : line.contains("epoch") ? epoch : step;
    for (const auto& item : line.items()) keys.insert(item.key());
  }
  CHECK(step == std::set<std::string>{"step", "loss", "lr", "tokens_per_second"});
  CHECK(epoch == std::set<std::string>{"epoch", "train_loss", "valid_loss", "valid_accuracy", "seconds"});
  CHECK(last.count("test_loss") + last.count("test_accuracy") == 2);
  for (const char* file : {"model.safetensors", "model.json", "settings.json", "data.json", "variants.json"})
    CHECK(std::filesystem::exists(trained_run() / file));
}

TEST_CASE("eval --json is one object and agrees with the test of the training") {
  const TemporaryFolder folder;
  const json found =
      json::parse(tenon_program("eval " + quoted(trained_run()) + " --json --data " + tiny_reviews()).out);
  CHECK(found["count"] == 160);
  CHECK(found["loss"].get<double>() > 0);
  const double accuracy = found["accuracy"];
  const json& confusion = found["confusion"];
  const double right = confusion["true_positive"].get<double>() + confusion["true_negative"].get<double>();
  CHECK(accuracy == Approx(right / 160));
}

TEST_CASE("predict --json gives text, label and probability a line, from wherever the texts come") {
  const TemporaryFolder folder;
  const std::string predict = "predict " + quoted(trained_run()) + " --json ";
  const Outcome by_argument = tenon_program(predict + "'great film' 'a bad \"plot\"'");
  const auto lines = json_lines(by_argument.out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1]["text"] == "a bad \"plot\"");
  for (const json& line : lines) {
    const double probability = line["probability"];
    CHECK(line.size() == 3);
    CHECK((probability > 0 && probability < 1));
    CHECK(line["label"] == (probability >= 0.5 ? "positive" : "negative"));
  }
  write_text(folder / "texts", "great film\na bad \"plot\"\n");
  CHECK(tenon_program(predict + "--file " + quoted(folder / "texts")).out == by_argument.out);
  CHECK(tenon_program(predict, "great film\na bad \"plot\"\n").out == by_argument.out);
  CHECK(tenon_program(predict + "--jsonl", "{\"text\": \"great film\"}\n{\"text\": \"a bad \\\"plot\\\"\"}\n")
            .out == by_argument.out);
}

TEST_CASE("a run works in another place without its encoder") {
  const TemporaryFolder folder;
  std::filesystem::copy(trained_run(), folder / "moved", std::filesystem::copy_options::recursive);
  const std::string text = " --json 'a great film' 'dull and boring'";
  const Outcome here = tenon_program("predict " + quoted(trained_run()) + text);
  const Outcome there = tenon_program("predict " + quoted(folder / "moved") + text);
  CHECK(there.code == 0);
  CHECK(there.out == here.out);
}

TEST_CASE("kernels --json lists every variant with the stable keys") {
  const json all = json::parse(tenon_program("kernels --json").out);
  REQUIRE(all.is_array());
  CHECK(all.size() > 20);
  for (const json& variant : all)
    for (const char* key : {"op", "variant", "device", "dtypes", "backward", "deterministic", "priority",
                            "workspace", "limits", "default", "file"})
      CHECK(variant.contains(key));
}

TEST_CASE("inspect tells files, folders, runs and checkpoints apart, and hashes what it finds") {
  const auto inspect = [](const std::filesystem::path& path) {
    return json::parse(tenon_program("inspect --json " + quoted(path)).out);
  };
  const json model = inspect(tiny_encoder());
  CHECK(model["kind"] == "model");
  CHECK(model["config.json"]["hidden_size"] == 32);
  const json file = inspect(data_folder() / "bert_gelu" / "model.safetensors");
  CHECK(file["kind"] == "file");
  CHECK(file["tensors"] == model["tensors"]);
  CHECK(file["parameters"].get<int64_t>() * 4 == file["tensor_bytes"].get<int64_t>());
  CHECK(file["files"][0]["sha256"] ==
        sha256_of_file((data_folder() / "bert_gelu" / "model.safetensors").string()));
  const json run = inspect(trained_run());
  CHECK(run["kind"] == "run");
  CHECK(run["settings.json"]["epochs"] == 2);
  for (const auto& entry : std::filesystem::directory_iterator(trained_run() / "checkpoints"))
    CHECK(inspect(entry.path())["kind"] == "checkpoint");
  CHECK(tenon_program("inspect " + quoted(trained_run())).out.find("rnn.weight_ih_l0_reverse") !=
        std::string::npos);
}

TEST_CASE("convert writes an encoder of half the size that gives nearly the same hidden states") {
  const TemporaryFolder folder;
  const std::filesystem::path whole = tiny_encoder(), half = folder / "half";
  REQUIRE(tenon_program("convert " + quoted(whole) + " --out " + quoted(half)).code == 0);
  const auto whole_size = std::filesystem::file_size(whole / "model.safetensors");
  CHECK(std::filesystem::file_size(half / "model.safetensors") < 0.6 * static_cast<double>(whole_size));
  std::vector<std::vector<float>> states;
  for (const std::filesystem::path& encoder : {whole, half}) {
    const std::string out = (folder / (encoder.filename().string() + ".safetensors")).string();
    REQUIRE(tenon_program("encode " + quoted(encoder) + " 'a great film' --out " + out).code == 0);
    const TensorFile file = open_tensor_file(out);
    states.push_back(tensor_of(file, *file.find("last_hidden_state")).to_vector<float>());
  }
  REQUIRE(states[0].size() == states[1].size());
  for (size_t i = 0; i < states[0].size(); ++i) CHECK(states[1][i] == Approx(states[0][i]).margin(0.01));
  const Outcome again = tenon_program("convert " + quoted(whole) + " --out " + quoted(half));
  CHECK(again.code == 1);
  CHECK(lines_of(again.err).size() == 1);
}

TEST_CASE("bench gives figures for what it has verified") {
  const TemporaryFolder folder;
  const std::string file = (folder / "bench.json").string();
  const Outcome outcome = tenon_program("bench layer_norm --case 64x384 --json " + file);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json report = json::parse(read_text(file));
  for (const char* key : {"processor", "threads", "compiler", "flags", "revision", "date"})
    CHECK(report.contains(key));
  for (const json& variant : report["results"][0]["variants"])
    if (variant["verified"].get<bool>()) CHECK(variant["samples_ms"].size() == 20);
}

TEST_CASE("bench counts on simt, the same with one thread and with two") {
  const TemporaryFolder folder;
  std::vector<json> results;
  for (const char* threads : {"1", "2"}) {
    const std::string file = (folder / "counts.json").string();
    const Outcome outcome = tenon_program(std::string("bench layer_norm softmax --device simt --json ") +
                                          file + " --threads " + threads);
    INFO(outcome.err);
    if (!simt::has_hooks()) {
      CHECK(outcome.code == 1);
      CHECK(lines_of(outcome.err).size() == 1);
      return;
    }
    REQUIRE(outcome.code == 0);
    results.push_back(json::parse(read_text(file))["results"]);
  }
  CHECK(results[0] == results[1]);
  REQUIRE(results[0].size() == 2);
  for (const json& result : results[0])
    for (const json& variant : result["variants"]) {
      INFO(variant.dump());
      REQUIRE(variant["verified"].get<bool>());
      CHECK(variant["moved_bytes"].get<double>() >= 0.9 * result["bytes"].get<double>());
      CHECK(variant["kernels"].size() >= 1);
    }
}

// 128 registers: 4 warps in each of 4 partitions of 16,384 registers. 100 KB of shared memory: one block on
// sm_80.
TEST_CASE("bench puts what nvcc made of a kernel beside its counts") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  const TemporaryFolder folder;
  const std::string file = (folder / "counts.json").string(), known = (folder / "ptxas.json").string();
  const auto kernel = [&] {
    const Outcome outcome =
        tenon_program("bench gelu --device simt --case \"erf 3x1023\" --json " + file + " --static " + known);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const json counted = json::parse(read_text(file));
    for (const json& variant : counted["results"][0]["variants"])
      if (variant["variant"] == "one_element_per_thread") return variant["kernels"][0];
    return json();
  };
  json report = {{"kernels", json::array()}};
  write_text(known, report.dump());
  const json bare = kernel();
  CHECK(bare["kernel"] == "forward<float>");
  CHECK(bare["static"].empty());
  for (const auto& [arch, shared] : {std::pair("sm_80", 100 << 10), std::pair("sm_90a", 0)})
    report["kernels"].push_back({{"file", "kernels/gelu/one_element_per_thread.cu"},
                                 {"kernel", "forward<float>"},
                                 {"arch", arch},
                                 {"registers", 128},
                                 {"shared", shared},
                                 {"mix", {{"ffma", 3}, {"ldg", 1}}}});
  write_text(known, report.dump());
  const json made = kernel()["static"];
  const auto threads = bare["threads"].get<int>();
  CHECK(made["sm_80"]["blocks"] == 1);
  CHECK(made["sm_80"]["limited_by"] == "shared memory");
  CHECK(made["sm_90a"]["blocks"] == 16 / (threads / 32));
  CHECK(made["sm_90a"]["occupancy"] == 0.25);
  CHECK(made["sm_90a"]["limited_by"] == "registers");
  CHECK(made["sm_90a"]["mix"]["ffma"] == 3);
  for (const char* wrong : {"{}", "no JSON", R"({"kernels": [{"file": "x"}]})"}) {
    write_text(known, wrong);
    const Outcome outcome = tenon_program("bench gelu --device simt --static " + known);
    CHECK(outcome.code == 1);
    CHECK(lines_of(outcome.err).size() == 1);
  }
}
