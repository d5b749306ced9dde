// tenon compare on oracles of one tiny model, right and with each usual mistake
// (tools/baseline/golden_compare.py).
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "tests/cli.h"

using namespace tenon;
using namespace tenon::test;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const fs::path& goldens() {
  static const fs::path folder = data_folder() / "compare";
  return folder;
}

std::string run_folder() { return (goldens() / "run").string(); }

Outcome compare(const fs::path& oracle, const std::string& options = "",
                const std::string& model = run_folder()) {
  return tenon_program("compare " + model + " --oracle " + oracle.string() + " " + options);
}

Outcome compare_golden(const std::string& name, const std::string& options = "") {
  return compare(goldens() / (name + ".safetensors"), options);
}

struct Broken {
  const char *oracle, *tensor, *cause;
};

// One oracle, one mistake.
const Broken broken_models[] = {
    {"gelu_tanh", "bert.encoder.layer.0.intermediate", "the activation is GELU in its tanh form"},
    {"relu", "bert.encoder.layer.0.intermediate", "the activation is ReLU"},
    {"eps", "bert.embeddings.LayerNorm", "the layer norm's eps is 1e-05, not 1e-12"},
    {"no_mask", "bert.encoder.layer.0.attention.self", "there is no attention mask"},
    {"causal", "bert.encoder.layer.0.attention.self", "attention is causal"},
    {"no_scale", "bert.encoder.layer.0.attention.self", "the scale 1/sqrt(head size) is missing"},
    {"heads", "bert.encoder.layer.0.attention.self", "there are 3 heads, not 2"},
    {"transposed_weight", "bert.encoder.layer.1.attention.self.query", "query.weight is transposed"},
    {"swapped_query_and_key", "bert.encoder.layer.1.attention.self.query",
     "the weights of bert.encoder.layer.1.attention.self.key stand in the place"},
    {"weights_of_another_layer", "bert.encoder.layer.1.intermediate.dense",
     "the weights of bert.encoder.layer.0.intermediate.dense stand in the place"},
    {"missing_bias", "bert.encoder.layer.0.output.dense", "output.dense.bias is missing"},
    {"no_position", "bert.embeddings.sum", "the position embedding is missing"},
    {"no_token_type", "bert.embeddings.sum", "the token type embedding is missing"},
    {"roberta_positions", "bert.embeddings.sum", "positions count from 2"},
    {"dropped_residual", "bert.encoder.layer.1.attention.output.LayerNorm", "the residual is dropped"},
    {"residual_after_norm", "bert.encoder.layer.0.output.LayerNorm",
     "the residual is added after the layer norm"},
    {"pre_norm", "bert.encoder.layer.0.attention.self.query", "pre-norm in place of post-norm"},
    {"training_mode", "bert.embeddings", "dropout is active"},
    {"tf32_products", "bert.encoder.layer.0.attention.self.query", "rounded to TF32"},
    {"bf16", "bert.encoder.layer.0.attention.self.query", "it was computed in bf16"},
    {"pooler_of_last_token", "bert.pooler", "the last token is taken and not the first"},
    {"gate_order", "rnn.l0", "the gates stand in the order z, r, n, not r, z, n"},
    {"update_gate", "rnn.l0", "the update gate is inverted"},
    {"missing_recurrent_bias", "rnn.l0", "the biases bias_hh are missing"},
    {"reset_before_product", "rnn.l0", "the reset gate scales the state before its product"},
    {"gru_over_padding", "rnn.l0", "the GRU runs over padding"},
    {"reverse_state_of_last_token", "rnn.last", "the reverse direction's state is taken at the last token"},
    {"detached_residual", "grad.bert.encoder.layer.1.attention.output.LayerNorm",
     "no gradient comes back through bert.encoder.layer.1.output.LayerNorm"},
    {"mean_loss", "grad.out", "all values are 0.5 times as large"},
    {"padding_row", "grad.bert.embeddings.word_embeddings.weight", "row 0 is left out"},
};

using Change = std::function<void(std::vector<TensorEntry>&)>;

// The unbroken oracle after a change to its list of tensors.
fs::path changed_oracle(const TemporaryFolder& folder, const Change& change) {
  const TensorFile file = read_safetensors((goldens() / "unbroken.safetensors").string());
  std::vector<TensorEntry> entries = file.entries();
  change(entries);
  const fs::path changed = folder / "oracle.safetensors";
  write_safetensors(changed.string(), entries);
  return changed;
}

void drop(std::vector<TensorEntry>& entries, const std::function<bool(const std::string&)>& goes) {
  std::erase_if(entries, [&](const TensorEntry& entry) { return goes(entry.name); });
}

void check_refused(const Outcome& outcome, const std::vector<std::string>& mentions) {
  INFO(outcome.err << outcome.out);
  CHECK(outcome.code == 1);
  CHECK(outcome.out.empty());
  CHECK(lines_of(outcome.err).size() == 1);
  for (const std::string& mention : mentions) {
    INFO("should mention " << mention);
    CHECK(outcome.err.find(mention) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("no operation differs from PyTorch's, forward or gradient, in any precision and on simt") {
  for (const char* options :
       {"", "--dtype tf32", "--dtype bf16", "--device simt", "--device simt --dtype bf16"}) {
    const Outcome outcome = compare_golden("unbroken", options);
    INFO(options << outcome.out << outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.find("no operation differs") != std::string::npos);
  }
}

TEST_CASE("of every broken model the first operation that differs and the mistake are named") {
  for (const Broken& broken : broken_models) {
    const Outcome outcome = compare_golden(broken.oracle);
    INFO(broken.oracle << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK(lines_of(outcome.err).size() == 1);
    CHECK(
        outcome.err.starts_with(std::string("tenon: ") + broken.tensor + " is the first that differs from "));
    CHECK(outcome.err.find("likely cause: in the oracle, ") != std::string::npos);
    CHECK(outcome.err.find(broken.cause) != std::string::npos);
  }
}

TEST_CASE("as JSON the ledger holds every operation, and each cause leaves no more than rounding") {
  for (const Broken& broken : broken_models) {
    const json ledger = json::parse(compare_golden(broken.oracle, "--json").out);
    INFO(broken.oracle);
    CHECK(ledger["operations"].size() == 27);
    const json& first = ledger["first_difference"];
    CHECK(first["tensor"] == broken.tensor);
    CHECK(first["side"] == "the oracle");
    CHECK(first["remaining"] <= first["allowed"]);
    CHECK(first["error"] > first["allowed"]);
  }
  const json ledger = json::parse(compare_golden("unbroken", "--json").out);
  CHECK(ledger["first_difference"].is_null());
  for (const json& row : ledger["operations"]) {
    INFO(row);
    CHECK(row["forward"]["alone"] <= row["forward"]["allowed"]);
    CHECK(row["forward"]["chain"] <= 1e-5);
  }
}

TEST_CASE("an encoder alone is compared with an oracle of the forward alone") {
  const TemporaryFolder folder;
  fs::copy(goldens() / "run" / "encoder", folder / "encoder");
  fs::copy(goldens() / "run" / "model.safetensors", folder / "encoder");
  const fs::path oracle = changed_oracle(folder, [](std::vector<TensorEntry>& entries) {
    drop(entries, [](const std::string& name) {
      return name.starts_with("grad.") || name.starts_with("loss.") || name.starts_with("rnn.") ||
             name == "out";
    });
  });
  const Outcome outcome = compare(oracle, "", (folder / "encoder").string());
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("bert.pooler") != std::string::npos);
  CHECK(outcome.out.find("rnn") == std::string::npos);
}

TEST_CASE("an oracle that lacks a tensor, has one too many, or of another shape") {
  const TemporaryFolder folder;
  const auto without = [&](const std::string& name) {
    return changed_oracle(folder,
                          [&](auto& entries) { drop(entries, [&](const auto& n) { return n == name; }); });
  };
  for (const char* name :
       {"bert.embeddings.sum", "bert.encoder.layer.1.intermediate", "rnn.last", "input_ids", "cu_seqlens",
        "grad.bert.encoder.layer.0.attention.self", "grad.rnn.bias_hh_l1"})
    check_refused(compare(without(name)), {"oracle.safetensors", name, "dump_encoder.py"});
  check_refused(compare(without("loss.out")), {"oracle.safetensors", "loss.NAME"});

  float value = 1;
  check_refused(compare(changed_oracle(
                    folder,
                    [&](auto& entries) {
                      entries.push_back({"bert.encoder.layer.2.output.dense", {&value, DType::f32, {1}}});
                    })),
                {"oracle.safetensors", "bert.encoder.layer.2.output.dense", "another model"});
  check_refused(compare(changed_oracle(folder,
                                       [](auto& entries) {
                                         for (TensorEntry& entry : entries)
                                           if (entry.name == "bert.encoder.layer.0.attention.self.key") {
                                             std::swap(entry.view.shape[0], entry.view.shape[1]);
                                             entry.view.set_contiguous();
                                           }
                                       })),
                {"oracle.safetensors", "bert.encoder.layer.0.attention.self.key", "(12, 14)", "(14, 12)"});
}

TEST_CASE("an oracle of another model, with ids or offsets that cannot be, cut short, or none at all") {
  const TemporaryFolder folder;
  check_refused(compare(goldens() / "unbroken.safetensors", "", (data_folder() / "bert_gelu").string()),
                {"unbroken.safetensors", "another model"});
  std::vector<int32_t> numbers(14, 101), offsets{0, 5, 5, 14};
  const auto with = [&](const std::string& name, std::vector<int32_t>& values) {
    return changed_oracle(folder, [&](auto& entries) {
      for (TensorEntry& entry : entries)
        if (entry.name == name) entry.view.data = values.data();
    });
  };
  check_refused(compare(with("input_ids", numbers)), {"input_ids", "101", "vocabulary"});
  check_refused(compare(with("cu_seqlens", offsets)), {"cu_seqlens", "14"});

  const std::string whole = read_text(goldens() / "unbroken.safetensors");
  write_text(folder / "short.safetensors", whole.substr(0, whole.size() / 2));
  check_refused(compare(folder / "short.safetensors"), {"short.safetensors", "cut short"});
  check_refused(compare(folder / "nowhere.safetensors"), {"nowhere.safetensors"});
  CHECK(tenon_program("compare " + run_folder()).code == 2);
}
