// Tiny BERTs against transformers' BertModel: the hidden states of every layer, the pooler and all gradients,
// in fp64 and fp32; and what loading accepts and refuses.
#include "models/bert/bert.h"

#include "engine/autograd.h"
#include "engine/io/load.h"
#include "engine/random.h"
#include "tests/tensors.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> folders = {"bert_gelu", "bert_gelu_new", "bert_relu", "bert_legacy"};

TensorFile weights_of(const std::string& folder) {
  const auto safetensors = data_folder() / folder / "model.safetensors";
  return open_tensor_file(std::filesystem::exists(safetensors)
                              ? safetensors.string()
                              : (data_folder() / folder / "pytorch_model.bin").string());
}

Bert load_bert(const std::string& folder, DType dtype) {
  Bert bert(BertConfig::read(data_folder() / folder / "config.json"));
  const LoadReport report = load_parameters(named_parameters(bert), weights_of(folder), "bert.");
  CHECK(report.unexpected.empty());
  convert_to(bert, dtype);
  bert.set_training(false);
  return bert;
}

// Everything that the golden file holds, computed by this program, under its names.
std::vector<std::pair<std::string, Tensor>> run_bert(Bert& bert, const TensorFile& file, DType dtype) {
  set_requires_grad(bert, true);
  const PackedBatch batch = golden_batch(file);
  const std::vector<Tensor> states = bert.hidden_states(batch);
  const Tensor pooled = bert.pooled(states.back(), batch);
  const Tensor loss = add(sum(multiply(states.back(), golden_tensor(file, "grad_output", dtype))),
                          sum(multiply(pooled, golden_tensor(file, "grad_pooled", dtype))));
  loss.backward();
  std::vector<std::pair<std::string, Tensor>> results;
  for (size_t i = 0; i < states.size(); ++i) results.emplace_back(str("hidden_states.", i), states[i]);
  results.emplace_back("pooler_output", pooled);
  for (const auto& [name, parameter] : named_parameters(bert))
    results.emplace_back("grad." + name, parameter->grad());
  return results;
}

// What the error of a tensor is a share of: its own size, but for the gradient of a key's bias, which is zero
// but for rounding and is measured by that of the query.
double size_of_reference(const TensorFile& file, std::string name) {
  if (const auto at = name.find("key.bias"); at != name.npos) name.replace(at, 3, "query");
  const TensorView view = golden(file, "f64." + name);
  double largest = 0;
  for (int64_t i = 0; i < view.size(); ++i) largest = std::max(largest, std::fabs(element(view, i)));
  return largest;
}

double largest_error(const TensorFile& file, const std::string& name, const TensorView& view) {
  const TensorView reference = golden(file, "f64." + name);
  REQUIRE(Shape(view) == Shape(reference));
  double worst = 0;
  for (int64_t i = 0; i < view.size(); ++i) {
    const double difference = std::fabs(element(view, i) - element(reference, i));
    worst = difference <= INFINITY ? std::max(worst, difference) : INFINITY;
  }
  return worst / size_of_reference(file, name);
}

}  // namespace

TEST_CASE("hidden states, pooler and all gradients equal transformers' in fp64") {
  for (const std::string& folder : folders) {
    const TensorFile file = golden_file(folder + "/golden");
    Bert bert = load_bert(folder, DType::f64);
    for (const auto& [name, result] : run_bert(bert, file, DType::f64)) {
      INFO(folder << " " << name);
      CHECK(largest_error(file, name, result.view()) <= 1e-10);
    }
  }
}

// Of a single tensor, rounding is a matter of chance: PyTorch's error may be small by luck. So all tensors
// together are compared by their typical error, gradients also by their worst and hidden states one by one.
// The pooler sees four rows only; of rows without error both sides make the same 1.5e-7.
TEST_CASE("in fp32 they are within 1e-5, and their error is at most twice PyTorch's own") {
  for (const std::string& folder : folders) {
    const TensorFile file = golden_file(folder + "/golden");
    Bert bert = load_bert(folder, DType::f32);
    const auto results = run_bert(bert, file, DType::f32);
    double worst = 0, worst_of_pytorch = 0, log_ratios = 0;
    for (const auto& [name, result] : results) {
      INFO(folder << " " << name);
      const double own = largest_error(file, name, result.view());
      const double pytorch = largest_error(file, name, golden(file, "f32." + name));
      CHECK(own <= 1e-5);
      if (name.starts_with("hidden_states.")) CHECK(own <= 2 * pytorch);
      if (name.starts_with("grad.")) {
        worst = std::max(worst, own);
        worst_of_pytorch = std::max(worst_of_pytorch, pytorch);
      }
      log_ratios += std::log(own / pytorch);
    }
    INFO(folder);
    CHECK(worst <= 2 * worst_of_pytorch);
    CHECK(std::exp(log_ratios / static_cast<double>(results.size())) <= 2);
  }
}

TEST_CASE("the encoder gives the same hidden states through its interface, with packed weights") {
  for (const std::string& folder : folders) {
    const TensorFile file = golden_file(folder + "/golden");
    const auto encoder = load_encoder(data_folder() / folder);
    encoder->set_training(false);
    CHECK(encoder->unexpected_tensors().empty());
    const PackedBatch batch = golden_batch(file);
    const Inference inference;
    const std::vector<Tensor> states = encoder->hidden_states(batch);
    for (size_t i = 0; i < states.size(); ++i) {
      INFO(folder << " layer " << i);
      CHECK(largest_error(file, str("hidden_states.", i), states[i].view()) <= 1e-5);
    }
    CHECK(same_bits((*encoder)(batch), states.back()));
  }
}

TEST_CASE("dropout is active in training only, and follows the seed and the step") {
  Bert bert = load_bert("bert_gelu", DType::f32);
  const PackedBatch batch = golden_batch(golden_file("bert_gelu/golden"));
  const Tensor quiet = bert(batch);
  CHECK(same_bits(bert(batch), quiet));
  bert.set_training(true);
  set_random_state(1, 0);
  const Tensor first = bert(batch);
  CHECK_FALSE(same_bits(first, quiet));
  CHECK(same_bits(bert(batch), first));
  set_random_state(1, 1);
  CHECK_FALSE(same_bits(bert(batch), first));
}

namespace {

using Entries = std::vector<TensorEntry>;

// The message with which a BERT refuses the weights of bert_gelu, changed by `change`; or its report.
std::string load_changed(const std::function<void(Entries&)>& change, const TemporaryFolder& folder,
                         LoadReport* report = nullptr) {
  const TensorFile original = weights_of("bert_gelu");
  Entries entries = original.entries();
  change(entries);
  const std::string path = (folder / "model.safetensors").string();
  write_safetensors(path, entries, {});
  Bert bert(BertConfig::read(data_folder() / "bert_gelu/config.json"));
  return message_of([&] {
    const LoadReport loaded = load_parameters(named_parameters(bert), open_tensor_file(path), "bert.");
    if (report) *report = loaded;
  });
}

TensorEntry& find(Entries& entries, const std::string& name) {
  for (TensorEntry& entry : entries)
    if (entry.name == name) return entry;
  throw Error("no tensor " + name);
}

}  // namespace

TEST_CASE("a missing tensor is named") {
  const TemporaryFolder folder;
  const std::string gone = "encoder.layer.1.output.dense.weight";
  const std::string message = load_changed(
      [&](Entries& all) { std::erase_if(all, [&](const TensorEntry& each) { return each.name == gone; }); },
      folder);
  CHECK_THAT(message, Contains("model.safetensors lacks 1 tensor") && Contains(gone));
}

TEST_CASE("of many missing tensors the first five are named") {
  const TemporaryFolder folder;
  const std::string message =
      load_changed([&](Entries& all) { all.erase(all.begin(), all.begin() + 8); }, folder);
  CHECK_THAT(message, Contains("lacks 8 tensors") && Contains("and 3 more"));
}

TEST_CASE("a tensor of the wrong shape is named with both shapes") {
  const TemporaryFolder folder;
  const std::string message = load_changed(
      [](Entries& all) {
        TensorView& view = find(all, "encoder.layer.0.intermediate.dense.weight").view;
        std::swap(view.shape[0], view.shape[1]);
        view.set_contiguous();
      },
      folder);
  CHECK_THAT(message, Contains("encoder.layer.0.intermediate.dense.weight") && Contains("(32, 37)") &&
                          Contains("(37, 32)"));
}

TEST_CASE("unexpected tensors are reported, those of every HuggingFace file are not") {
  const TemporaryFolder folder;
  LoadReport report;
  const std::string message = load_changed(
      [](Entries& all) {
        const TensorView view = all[0].view;
        all.push_back({"encoder.layer.7.output.dense.bias", view});
        all.push_back({"cls.predictions.bias", view});
        all.push_back({"bert.embeddings.position_ids", view});
      },
      folder, &report);
  CHECK(message == "nothing was thrown");
  CHECK(report.unexpected == std::vector<std::string>{"encoder.layer.7.output.dense.bias"});
}

TEST_CASE("a parameter that stands in the file under two names is an error") {
  const TemporaryFolder folder;
  const std::string message = load_changed(
      [](Entries& all) {
        const TensorView view = find(all, "embeddings.LayerNorm.weight").view;
        all.push_back({"bert.embeddings.LayerNorm.gamma", view});
      },
      folder);
  CHECK_THAT(message, Contains("both embeddings.LayerNorm.weight and bert.embeddings.LayerNorm.gamma") ||
                          Contains("both bert.embeddings.LayerNorm.gamma and embeddings.LayerNorm.weight"));
}

TEST_CASE("an absent pooler is no error for the encoder, and asking for its output is") {
  const TemporaryFolder folder;
  for (const char* name : {"config.json", "vocab.txt"})
    std::filesystem::copy_file(data_folder() / "bert_gelu" / name, folder / name);
  load_changed(
      [](Entries& all) {
        std::erase_if(all, [](const TensorEntry& each) { return each.name.starts_with("pooler."); });
      },
      folder);
  const auto encoder = load_encoder(folder.path());
  for (const auto& [name, parameter] : named_parameters(*encoder)) CHECK_FALSE(name.starts_with("pooler."));
  Bert bert(BertConfig::read(folder / "config.json"), /*with_pooler=*/false);
  CHECK_THAT(message_of([&] { bert.pooled({}, {}); }), Contains("without a pooler"));
}

TEST_CASE("a sequence past the positions and an id past the vocabulary are errors") {
  Bert bert = load_bert("bert_gelu", DType::f32);
  CHECK_THAT(message_of([&] { bert(PackedBatch::of_ids({std::vector<int32_t>(25, 7)})); }),
             Contains("25 tokens") && Contains("24 positions"));
  CHECK_THAT(message_of([&] { bert(PackedBatch::of_ids({{2, 101, 3}})); }), Contains("token id 101"));
}
