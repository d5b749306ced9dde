// The sentiment model: its sizes, that a review's result does not depend on its neighbours, the cache of
// features, and what the tutorial's recipe does.
#include "models/sentiment/sentiment.h"

#include "engine/autograd.h"
#include "engine/random.h"
#include "models/sentiment/settings.h"
#include "tests/models.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

// Every path leads to the end of its scope.
struct BatchInvariant {
  BatchInvariant() { set_batch_invariant(true); }
  ~BatchInvariant() { set_batch_invariant(false); }
};

// Logits of each example from a batch of its own.
std::vector<float> one_by_one(SentimentModel& model, const Examples& examples) {
  std::vector<float> logits;
  for (int64_t i = 0; i < examples.size(); ++i)
    logits.push_back(
        sentiment_logits(model, examples, std::vector{i}, false, Device::cpu).to_vector<float>()[0]);
  return logits;
}

std::vector<float> together(SentimentModel& model, const Examples& examples) {
  return sentiment_logits(model, examples, first_indices(examples.size()), false, Device::cpu)
      .to_vector<float>();
}

SentimentTaskOptions in_order(int64_t batch_size) {
  return {.batches = {.order = BatchOrder::sequential, .batch_size = batch_size}};
}

Tensor loss_of_all(SentimentTask& task, const Examples& examples) {
  set_random_state(1, 0);
  task.module().set_training(true);
  return task.loss(first_indices(examples.size()), 0);
}

}  // namespace

TEST_CASE("the published model on bert-base has 112,241,409 parameters and trains 2,759,169 in 18 tensors") {
  const TemporaryFolder folder;
  write_config(folder.path(), BertConfig());
  Tensor any = Tensor::zeros({1}, DType::f32);
  save_tensors(folder / "names.safetensors", {{"pooler.dense.weight", &any}});
  const TensorFile names = read_safetensors((folder / "names.safetensors").string());
  SentimentModel model(make_encoder(folder.path(), names), {});
  set_requires_grad(model, true);
  set_requires_grad(model.encoder(), false);
  CHECK(parameter_count(model) == 112'241'409);
  CHECK(parameter_count(model, true) == 2'759'169);
  int trained = 0;
  for (const auto& [name, parameter] : named_parameters(model)) {
    INFO(name);
    const bool of_head = name.starts_with("rnn.") || name.starts_with("out.");
    CHECK(of_head == parameter->requires_grad());
    CHECK(of_head != name.starts_with("bert."));
    trained += of_head;
  }
  CHECK(trained == 18);
}

TEST_CASE("64 ragged reviews in one batch have the logits of each alone") {
  const EncoderFolder folder;
  SentimentModel model = folder.model();
  const Examples examples = random_examples(ragged_lengths(64, 96));
  const Tensor packed = Tensor::from(together(model, examples));
  CHECK(error(packed, Tensor::from(one_by_one(model, examples))) <= 1e-5);
}

TEST_CASE("in batch-invariant mode they have the same bits") {
  const EncoderFolder folder;
  const BatchInvariant mode;
  SentimentModel model = folder.model();
  const Examples examples = random_examples(ragged_lengths(64, 96));
  CHECK(together(model, examples) == one_by_one(model, examples));
}

TEST_CASE("fine-tuning trains all that the hidden states depend on, and nothing else") {
  const EncoderFolder folder;
  const Examples examples = random_examples({5, 3});
  SentimentModel model = folder.model();
  SentimentTaskOptions options = in_order(2);
  options.fine_tune = true;
  SentimentTask task(model, examples, examples, options);
  loss_of_all(task, examples).backward();
  for (const auto& [name, parameter] : named_parameters(model)) {
    INFO(name);
    CHECK(parameter->requires_grad() == (name.find("pooler") == name.npos));
    CHECK(parameter->grad().defined() == parameter->requires_grad());
  }
}

TEST_CASE("gradients of a batch in parts equal those of the whole, dropout included") {
  const EncoderFolder folder;
  const Examples examples = random_examples(ragged_lengths(8, 20));
  SentimentModel model = folder.model(DType::f64);
  SentimentTaskOptions options = in_order(8);
  options.fine_tune = true;
  SentimentTask task(model, examples, examples, options);
  loss_of_all(task, examples).backward();
  std::vector<Tensor> whole;
  for (Tensor* parameter : trainable_parameters(model)) {
    whole.push_back(parameter->grad());
    parameter->set_grad({});
  }
  const auto all = first_indices(8);
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 3}, {3, 3}, {6, 2}}) {
    const std::span part(all.data() + begin, static_cast<size_t>(count));
    scale(task.loss(part, begin), static_cast<double>(count) / 8).backward();
  }
  const auto parameters = trainable_parameters(model);
  for (size_t i = 0; i < whole.size(); ++i) {
    // A key's bias has no gradient but for rounding.
    const double size = std::max(1e-3, error(whole[i], Tensor::zeros(whole[i].shape(), DType::f64)));
    CHECK(error(subtract(parameters[i]->grad(), whole[i]), Tensor::zeros(whole[i].shape(), DType::f64)) <=
          1e-12 * size);
  }
}

TEST_CASE("the recipe tutorial sets the quirks of the published code") {
  SentimentSettings settings;
  settings.recipe = "tutorial";
  settings.apply_recipe();
  CHECK(settings.pad_batches);
  CHECK(settings.encoder_dropout);
  CHECK(settings.batches == "random");
  settings.cache_features = true;
  const EncoderFolder folder;
  SentimentModel model = folder.model();
  const Examples examples = random_examples({5, 3});
  CHECK_THAT(message_of([&] { SentimentTask(model, examples, examples, settings.task_options()); }),
             Contains("cannot be cached with --recipe tutorial"));
}

TEST_CASE("padded as the tutorial does it, PAD counts as a token") {
  const EncoderFolder folder;
  SentimentModel model = folder.model();
  const Examples ragged = random_examples({9, 4, 1});
  Examples filled = ragged;
  for (auto& ids : filled.ids) ids.resize(9, model.encoder().tokenizer().pad_id());
  const auto all = first_indices(3);
  const auto logits = [&](const Examples& examples, bool pad) {
    return sentiment_logits(model, examples, all, pad, Device::cpu).to_vector<float>();
  };
  CHECK(logits(ragged, true) == logits(filled, false));
  CHECK(logits(ragged, true) != logits(ragged, false));

  SentimentTaskOptions options = in_order(3);
  SentimentTask explicitly(model, filled, filled, options);
  const double expected = loss_of_all(explicitly, filled).item();
  options.pad_batches = true;
  SentimentTask padded(model, ragged, ragged, options);
  CHECK(loss_of_all(padded, ragged).item() == expected);
}

TEST_CASE("the tutorial's frozen encoder draws dropout while it trains, and not in validation") {
  const EncoderFolder folder;
  SentimentModel model = folder.model();
  const Examples examples = random_examples({9, 4, 12});
  SentimentTask quiet(model, examples, examples, in_order(3));
  const double without = loss_of_all(quiet, examples).item(), validation = quiet.validate().loss;
  SentimentTaskOptions options = in_order(3);
  options.encoder_dropout = true;
  SentimentTask noisy(model, examples, examples, options);
  const Tensor loss = loss_of_all(noisy, examples);
  CHECK(loss.item() != without);
  loss.backward();
  for (const auto& [name, parameter] : named_parameters(model.encoder()))
    CHECK_FALSE(parameter->grad().defined());
  CHECK(noisy.validate().loss == validation);
}

TEST_CASE("evaluation gives the true accuracy and the mean over the batches, and the mean loss") {
  const EncoderFolder folder;
  SentimentModel model = folder.model();
  const Examples examples = random_examples({9, 4, 12, 7, 20});
  const Evaluation found = evaluate_sentiment(model, examples, 2, false, Device::cpu);
  const auto logits = one_by_one(model, examples);
  double loss = 0, correct[5];
  for (size_t i = 0; i < 5; ++i) {
    const double z = logits[i], label = examples.labels[i];
    loss -= std::log(label > 0 ? 1 / (1 + std::exp(-z)) : 1 / (1 + std::exp(z)));
    correct[i] = (z > 0) == (label > 0);
  }
  CHECK(found.count == 5);
  CHECK(found.loss == Approx(loss / 5).epsilon(1e-5));
  CHECK(found.accuracy == Approx((correct[0] + correct[1] + correct[2] + correct[3] + correct[4]) / 5));
  // Longest first: 20 and 12, 9 and 7, 4.
  CHECK(found.batch_mean_accuracy ==
        Approx(((correct[4] + correct[2]) / 2 + (correct[0] + correct[3]) / 2 + correct[1]) / 3));
}
