// What goes wrong at a person's hands: each ends with one sentence that names the file, tensor or flag, exit
// code 1, and nothing half-written.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "kernels/base/memory.h"
#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  if (fs::exists(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

void check_refused(const Outcome& outcome, const std::vector<std::string>& mentions) {
  INFO(outcome.err << outcome.out);
  CHECK(outcome.code == 1);
  CHECK(lines_of(outcome.err).size() == 1);
  CHECK(outcome.err.starts_with("tenon: "));
  CHECK(outcome.err.find("json.exception") == std::string::npos);
  for (const std::string& mention : mentions) {
    INFO("should mention " << mention);
    CHECK(outcome.err.find(mention) != std::string::npos);
  }
}

// Neither encode nor train takes the encoder, and neither leaves a file behind.
void check_encoder_refused(const fs::path& encoder, const std::vector<std::string>& mentions) {
  const TemporaryFolder folder;
  check_refused(tenon_program("encode " + encoder.string() + " film --out " + (folder / "x").string()),
                mentions);
  check_refused(tenon_program(tiny_training(encoder.string()) + " --out " + (folder / "run").string()),
                mentions);
  CHECK(files_below(folder.path()).empty());
}

void check_data_refused(const fs::path& data, const std::vector<std::string>& mentions,
                        const std::string& options = "") {
  const TemporaryFolder folder;
  check_refused(tenon_program(tiny_training(tiny_encoder(), data.string()) + " --out " +
                              (folder / "run").string() + " " + options),
                mentions);
  CHECK(files_below(folder.path()).empty());
}

std::string safetensors(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

// The tiny encoder's weights after a change to their list.
template <class Change>
fs::path encoder_with_weights(const TemporaryFolder& folder, const Change& change) {
  const fs::path encoder = copy_of_encoder(folder, "bert_gelu");
  const TensorFile file = read_safetensors((data_folder() / "bert_gelu" / "model.safetensors").string());
  std::vector<TensorEntry> entries = file.entries();
  change(entries);
  fs::remove(encoder / "model.safetensors");
  write_safetensors((encoder / "model.safetensors").string(), entries);
  return encoder;
}

fs::path encoder_with_config(const TemporaryFolder& folder, const std::string& key, const json& value) {
  const fs::path encoder = copy_of_encoder(folder, "bert_gelu");
  json config = json::parse(read_text(encoder / "config.json"));
  config[key] = value;
  write_text(encoder / "config.json", config.dump());
  return encoder;
}

}  // namespace

TEST_CASE("weights that are missing") {
  const TemporaryFolder folder;
  const fs::path encoder = copy_of_encoder(folder, "bert_gelu");
  fs::remove(encoder / "model.safetensors");
  check_encoder_refused(encoder, {encoder.string(), "model.safetensors"});
  check_encoder_refused(folder / "nowhere", {"nowhere"});
}

TEST_CASE("a safetensors file that is cut short, too long, empty, or lies about itself") {
  const TemporaryFolder folder;
  const fs::path encoder = copy_of_encoder(folder, "bert_gelu");
  const fs::path file = encoder / "model.safetensors";
  const std::string whole = read_text(file);
  const auto region = [](const std::string& name, int begin, int end) {
    return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" + std::to_string(begin) +
           "," + std::to_string(end) + "]}";
  };
  const std::string eight(8, 'x'), twelve(12, 'x'), sixteen(16, 'x');
  const std::pair<std::string, std::string> spoilt[] = {
      {whole.substr(0, whole.size() - 5), "cut short"},
      {whole + "more", "bytes follow"},
      {"", "empty"},
      {whole.substr(0, 5), "header"},
      {std::string("\xff\xff\xff\xff\x00\x00\x00\x00{}", 10), "header"},
      {safetensors("{" + region("a", 0, 8) + "," + region("b", 4, 12) + "}", twelve), "overlap"},
      {safetensors("{" + region("a", 0, 8) + "," + region("b", 80, 88) + "}", sixteen),
       "belong to no tensor"},
      {safetensors("{" + region("a", 8, 0) + "}", eight), "reversed"},
      {safetensors("{" + region("a", 0, 8), eight), "not JSON"},
  };
  for (const auto& [bytes, reason] : spoilt) {
    fs::remove(file);
    write_text(file, bytes);
    check_encoder_refused(encoder, {file.string(), reason});
    check_refused(tenon_program("inspect " + file.string()), {file.string(), reason});
  }
}

TEST_CASE("a pickle that asks for code to be run") {
  for (const char* hostile : {"hostile_zip.bin", "hostile_legacy.bin"}) {
    const TemporaryFolder folder;
    const fs::path encoder = copy_of_encoder(folder, "bert_relu");
    fs::remove(encoder / "pytorch_model.bin");
    fs::copy(data_folder() / "pickle" / hostile, encoder / "pytorch_model.bin");
    check_encoder_refused(encoder, {"pytorch_model.bin"});
  }
}

TEST_CASE("tensors of the wrong shape and tensors that are missing") {
  const TemporaryFolder one, other;
  check_encoder_refused(encoder_with_weights(one,
                                             [](std::vector<TensorEntry>& entries) {
                                               for (TensorEntry& entry : entries)
                                                 if (entry.name == "embeddings.word_embeddings.weight")
                                                   entry.view.shape[0] = 99;
                                             }),
                        {"model.safetensors", "embeddings.word_embeddings.weight", "(99, 32)", "(101, 32)"});
  check_encoder_refused(encoder_with_weights(other,
                                             [](std::vector<TensorEntry>& entries) {
                                               std::erase_if(entries, [](const TensorEntry& entry) {
                                                 return entry.name == "encoder.layer.1.output.dense.bias";
                                               });
                                             }),
                        {"model.safetensors", "encoder.layer.1.output.dense.bias"});
}

TEST_CASE("a tensor that the model has no place for is listed once, and the work is done") {
  const TemporaryFolder folder;
  float value = 1;
  const fs::path encoder = encoder_with_weights(folder, [&](std::vector<TensorEntry>& entries) {
    entries.push_back({"extra.weight", {&value, DType::f32, {1}}});
  });
  const Outcome outcome =
      tenon_program("encode " + encoder.string() + " film --out " + (folder / "x").string());
  CHECK(outcome.code == 0);
  CHECK(lines_of(outcome.err).size() == 1);
  CHECK(outcome.err.find("extra.weight") != std::string::npos);
}

TEST_CASE("a configuration of another model, broken, or with sizes that cannot be") {
  const std::pair<const char*, json> spoilt[] = {
      {"model_type", "gpt2"},       {"hidden_size", 0},
      {"hidden_size", -32},         {"num_attention_heads", 0},
      {"num_attention_heads", 5},   {"vocab_size", -1},
      {"num_hidden_layers", "two"}, {"max_position_embeddings", 0},
      {"hidden_act", "magic"},      {"position_embedding_type", "relative_key"},
      {"intermediate_size", 1e300}, {"hidden_dropout_prob", 2}};
  for (const auto& [key, value] : spoilt) {
    const TemporaryFolder folder;
    INFO(key << " " << value);
    check_encoder_refused(encoder_with_config(folder, key, value), {"config.json"});
  }
  const TemporaryFolder folder;
  const fs::path encoder = copy_of_encoder(folder, "bert_gelu");
  write_text(encoder / "config.json", "{\"hidden_size\": 32,");
  check_encoder_refused(encoder, {"config.json", "JSON"});
}

TEST_CASE("sizes that no memory holds") {
  const TemporaryFolder folder;
  check_encoder_refused(encoder_with_config(folder, "vocab_size", 2147483647), {});
}

TEST_CASE("a vocabulary without [UNK], and one that is longer than the model's") {
  const TemporaryFolder one, other;
  const fs::path without = copy_of_encoder(one, "bert_gelu");
  std::string vocabulary = read_text(without / "vocab.txt");
  vocabulary.replace(vocabulary.find("[UNK]"), 5, "[unk]");
  write_text(without / "vocab.txt", vocabulary);
  check_encoder_refused(without, {"vocab.txt", "[UNK]"});
  check_refused(tenon_program("tokenize " + without.string() + " film"), {"vocab.txt", "[UNK]"});

  const fs::path longer = copy_of_encoder(other, "bert_gelu");
  write_text(longer / "vocab.txt", read_text(longer / "vocab.txt") + "supercalifragilistic\n");
  check_encoder_refused(longer, {"102", "vocab_size 101"});
}

TEST_CASE("an empty data set, an empty review, and a label that is neither class") {
  const TemporaryFolder folder;
  const fs::path file = folder / "reviews.jsonl";
  const std::string good = "{\"text\": \"good\", \"label\": 1}\n";
  const std::pair<std::string, std::string> spoilt[] = {
      {"", "no reviews"},
      {good + "{\"text\": \"  \", \"label\": 0}\n", "line 2"},
      {good + "{\"text\": \"bad\", \"label\": 2}\n", "line 2"},
      {good + "{\"text\": \"bad\", \"label\": \"meh\"}\n", "line 2"},
      {good + "{\"text\": \"bad\"}\n", "line 2"},
      {good + "{\"text\": \n", "line 2"}};
  for (const auto& [text, reason] : spoilt) {
    write_text(file, text);
    check_data_refused(file, {"reviews.jsonl", reason});
  }
  fs::create_directories(folder / "empty");
  check_data_refused(folder / "empty", {"empty", "aclImdb"});
  check_data_refused(folder / "nothing.csv", {"nothing.csv"});
  write_text(file, good + good + good);
  check_data_refused(file, {"negative"});
}

TEST_CASE("no text for predict") {
  check_refused(tenon_program("predict " + trained_run().string(), ""), {"text"});
  check_refused(tenon_program("predict " + trained_run().string() + " --file /nonexistent"),
                {"/nonexistent"});
  check_refused(tenon_program("predict " + trained_run().string() + " --jsonl", "{\"txt\": 1}\n"),
                {"line 1", "text"});
}

TEST_CASE("a CSV without the column") {
  const TemporaryFolder folder;
  write_text(folder / "reviews.csv", "text,label\ngood,1\nbad,0\n");
  check_data_refused(folder / "reviews.csv", {"reviews.csv", "body"}, "--text-column body");
  check_refused(tenon_program("eval " + trained_run().string() + " --label-column stars --data " +
                              (folder / "reviews.csv").string()),
                {"reviews.csv", "stars"});
}

TEST_CASE("a .tar.gz that is cut short") {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  for (const char* name : {"neg/0_1", "neg/1_2", "neg/2_1", "pos/0_9", "pos/1_8", "pos/2_9"}) {
    const fs::path file = folder / "aclImdb" / "train" / (std::string(name) + ".txt");
    fs::create_directories(file.parent_path());
    std::string text;
    for (int i = 0; i < 4000; ++i) text += std::to_string(std::sin(i * (name[4] + name[6])));
    write_text(file, text);
  }
  REQUIRE(std::system(("tar -C " + root + " -czf " + root + "/whole.tar.gz aclImdb").c_str()) == 0);
  const std::string whole = read_text(folder / "whole.tar.gz");
  write_text(folder / "cut.tar.gz", whole.substr(0, whole.size() / 2));
  check_data_refused(folder / "cut.tar.gz", {"cut.tar.gz", "cut short"});
}

TEST_CASE("a full disk while saving") {
  const TemporaryFolder folder;
  const std::string limit = "ulimit -f 16;";  // 8 or 16 KiB a file, which stands for a full disk
  const Outcome training =
      tenon_program(tiny_training() + " --epochs 1 --out " + (folder / "run").string(), "", limit);
  check_refused(training, {"cannot write", "safetensors"});
  for (const fs::path& file : files_below(folder / "run")) {
    INFO(file);
    CHECK(file.extension() != ".safetensors");
    CHECK(file.string().find(".tmp") == std::string::npos);
  }
  std::string words;
  for (int i = 0; i < 200; ++i) words += " film";
  check_refused(
      tenon_program("encode " + tiny_encoder() + words + " --out " + (folder / "x").string(), "", limit),
      {"cannot write", "/x"});
  CHECK(!fs::exists(folder / "x"));
}

TEST_CASE("a run that exists already is left as it is") {
  const std::string before = read_text(trained_run() / "settings.json");
  check_refused(tenon_program(tiny_training() + " --epochs 1 --out " + trained_run().string()),
                {trained_run().string(), "--resume"});
  CHECK(read_text(trained_run() / "settings.json") == before);
  CHECK(fs::exists(trained_run() / "model.safetensors"));
}

TEST_CASE("--resume with changed settings or data, or of nothing") {
  const std::string out = " --resume --out " + trained_run().string();
  check_refused(tenon_program(tiny_training() + " --epochs 3" + out), {"--resume", "epochs"});
  check_refused(tenon_program(tiny_training() + " --epochs 2 --lr 0.5" + out), {"--resume", "lr"});
  const TemporaryFolder folder;
  write_json_lines((folder / "other.jsonl").string(), generate_reviews(160, 2));
  check_refused(
      tenon_program(tiny_training(tiny_encoder(), (folder / "other.jsonl").string()) + " --epochs 2" + out),
      {"--resume", "data"});
  check_refused(tenon_program(tiny_training() + " --resume --out " + (folder / "none").string()), {"none"});
  CHECK(!fs::exists(folder / "none"));
  CHECK(fs::exists(trained_run() / "model.safetensors"));
}

TEST_CASE("--resume with another device or precision") {
  const std::string out = " --epochs 2 --resume --out " + trained_run().string();
  check_refused(tenon_program(tiny_training() + out + " --dtype bf16"),
                {"--resume", "dtype", "fp32", "bf16"});
  check_refused(tenon_program(tiny_training() + out + " --device simt"),
                {"--resume", "device", "cpu", "simt"});
}

TEST_CASE("a device that this build or this machine lacks") {
  if (has_device(Device::cuda)) SKIPPED("this machine has a cuda device");
  const TemporaryFolder folder;
  const std::string out = " --device cuda --out " + (folder / "x").string();
  check_refused(tenon_program("encode " + tiny_encoder() + " film" + out), {"cuda", "--device cpu"});
  check_refused(tenon_program(tiny_training() + out), {"cuda", "--device cpu"});
  check_refused(tenon_program("predict " + trained_run().string() + " film --device cuda"), {"cuda"});
  CHECK(files_below(folder.path()).empty());
}

TEST_CASE("out of device memory") {
  const TemporaryFolder folder;
  const std::string limit = "TENON_MEMORY_LIMIT=100K";
  check_refused(
      tenon_program("encode " + tiny_encoder() + " film --device simt --out " + (folder / "x").string(), "",
                    limit),
      {"out of memory on simt", "were asked for", "in use", "TENON_MEMORY_LIMIT", "--batch-size"});
  check_refused(
      tenon_program(tiny_training() + " --device simt --out " + (folder / "run").string(), "", limit),
      {"out of memory on simt", "--token-budget", "--accumulate"});
  CHECK(files_below(folder.path()).empty());
  CHECK(tenon_program("encode " + tiny_encoder() + " film --out " + (folder / "x").string(), "",
                      "TENON_MEMORY_LIMIT=much")
            .code == 2);
}

TEST_CASE("a variant that is forced where it cannot run") {
  const TemporaryFolder folder;
  check_refused(tenon_program("encode " + tiny_encoder() +
                              " film --device simt --kernel matmul=eigen --out " + (folder / "x").string()),
                {"matmul=eigen", "simt", "cpu"});
  CHECK(files_below(folder.path()).empty());
}

TEST_CASE("PyTorch is to be compared with, but its side is not there") {
  check_refused(tenon_program("bench --against pytorch", "", "TENON_BASELINE=/no/such/folder"),
                {"/no/such/folder", "TENON_BASELINE"});
  for (const char* wrong : {"abacus", "pytorch --device simt", "pytorch --dtype f64"}) {
    const Outcome outcome = tenon_program(std::string("bench --against ") + wrong);
    CHECK(outcome.code == 2);
    CHECK(lines_of(outcome.err).size() == 1);
  }
}

TEST_CASE("a token id past the vocabulary") {
  const TemporaryFolder folder;
  std::vector<int32_t> ids{2, 101, 3}, offsets{0, 3};
  const TensorEntry entries[] = {{"input_ids", {ids.data(), DType::i32, {3}}},
                                 {"cu_seqlens", {offsets.data(), DType::i32, {2}}}};
  write_safetensors((folder / "ids").string(), entries);
  check_refused(tenon_program("bench --worker bert --model " + tiny_encoder() + " --input " +
                              (folder / "ids").string()),
                {"101"});
}

TEST_CASE("a loss that is not finite stops the training and is explained") {
  const TemporaryFolder folder;
  const std::string run = (folder / "run").string();
  check_refused(tenon_program(tiny_training() + " --epochs 2 --optimizer sgd --lr 1e300 --out " + run),
                {"step 2", "rnn.", "--lr"});
  CHECK(!fs::exists(folder / "run" / "model.safetensors"));

  std::vector<float> broken(32, std::nanf(""));
  const fs::path encoder = encoder_with_weights(folder, [&](std::vector<TensorEntry>& entries) {
    for (TensorEntry& entry : entries)
      if (entry.name == "encoder.layer.1.output.dense.bias") entry.view.data = broken.data();
  });
  check_refused(tenon_program(tiny_training(encoder.string()) + " --out " + (folder / "other").string()),
                {"step 1", "bert.encoder.layer.1.output.dense.bias"});
}

TEST_CASE("a run that is not finished, or spoilt") {
  const TemporaryFolder folder;
  check_refused(tenon_program("predict " + folder.path().string() + " film"), {folder.path().string()});
  fs::copy(trained_run(), folder / "run", fs::copy_options::recursive);
  write_text(folder / "run" / "model.json", "{}");
  check_refused(tenon_program("predict " + (folder / "run").string() + " film"), {"model.json"});
  write_text(folder / "run" / "model.json", "[");
  check_refused(tenon_program("predict " + (folder / "run").string() + " film"), {"model.json", "JSON"});
}
