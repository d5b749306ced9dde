#include "models/sentiment/task.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "kernels/base/profile.h"

namespace tenon {
namespace {

using Progress = std::function<void(int64_t, int64_t)>;

std::vector<std::vector<int32_t>> ids_of(const Examples& examples, std::span<const int64_t> chosen, bool pad,
                                         int32_t pad_id) {
  std::vector<std::vector<int32_t>> ids;
  size_t longest = 0;
  for (int64_t i : chosen) {
    ids.push_back(examples.ids[static_cast<size_t>(i)]);
    longest = std::max(longest, ids.back().size());
  }
  if (pad)
    for (auto& sequence : ids) sequence.resize(longest, pad_id);
  return ids;
}

Tensor labels_of(const Examples& examples, std::span<const int64_t> chosen, DType dtype, Device device) {
  const Section section("data");
  std::vector<float> labels;
  for (int64_t i : chosen) labels.push_back(examples.labels[static_cast<size_t>(i)]);
  return cast(Tensor::from(labels), dtype).to(device);
}

std::vector<std::vector<int64_t>> sorted_batches(const Examples& examples, int64_t batch_size) {
  return Batches(examples.lengths(), {.order = BatchOrder::sorted, .batch_size = batch_size}).epoch(0);
}

std::vector<double> on_host(const Tensor& logits) {
  return cast(logits.to(Device::cpu), DType::f64).to_vector<double>();
}

// Numerically stable binary cross entropy in fp64, from logits that are on the host.
double cross_entropy_of(double logit, double label) {
  return std::max(logit, 0.0) - logit * label + std::log1p(std::exp(-std::fabs(logit)));
}

// Loaded weights may stand in a file that is mapped read-only; those that training changes get memory of
// their own.
void own_trainable_memory(Module& model) {
  for (Tensor* parameter : trainable_parameters(model))
    *parameter = parameter->clone().set_requires_grad(true);
}

}  // namespace

SentimentTask::SentimentTask(SentimentModel& model, const Examples& train, const Examples& valid,
                             const SentimentTaskOptions& options, const Progress& progress)
    : train_(train),
      valid_(valid),
      model_(model),
      options_(options),
      batches_(train.lengths(), options.batches) {
  set_requires_grad(model, true);
  for (const auto& [name, parameter] : named_parameters(model.encoder()))
    parameter->set_requires_grad(options.fine_tune && model.encoder().shapes_hidden_states(name));
  own_trainable_memory(model);
  move_to(model, options.device);
  if (!options.cache_features) return;
  check(!options.fine_tune,
        "--cache-features keeps what a frozen encoder computes; leave it out with --fine-tune");
  check(
      !options.encoder_dropout && !options.pad_batches,
      "features cannot be cached with --recipe tutorial: the encoder's dropout is on and PAD is attended to");
  model.encoder().set_training(false);
  const int64_t train_tokens = train.tokens(), all = train_tokens + valid.tokens();
  const auto offset_progress = [&](int64_t offset) -> Progress {
    return [&progress, offset, all](int64_t done, int64_t) {
      if (progress) progress(offset + done, all);
    };
  };
  const Section section("caching features");
  FeatureCacheOptions cache = options.cache;
  cache.device = options.device;
  train_features_ = std::make_unique<FeatureCache>(model.encoder(), train, cache, offset_progress(0));
  if (!cache.file.empty()) cache.file += ".valid";
  valid_features_ =
      std::make_unique<FeatureCache>(model.encoder(), valid, cache, offset_progress(train_tokens));
}

Tensor SentimentTask::loss(std::span<const int64_t> examples, int64_t first_sequence) {
  const PackedBatch batch = [&] {
    const Section section("data");
    const auto ids = ids_of(train_, examples, options_.pad_batches, model_.encoder().tokenizer().pad_id());
    return PackedBatch::of_ids(ids, first_sequence).to(options_.device);
  }();
  Tensor features;
  if (train_features_) {
    features = train_features_->gather(examples);
  } else if (options_.fine_tune) {
    features = model_.encoder()(batch);
  } else {
    const Inference inference;
    model_.encoder().set_training(options_.encoder_dropout);
    features = model_.encoder()(batch);
  }
  const Tensor logits = model_.head(features, batch);
  return bce_with_logits(logits, labels_of(train_, examples, logits.dtype(), options_.device));
}

int64_t SentimentTask::tokens(std::span<const int64_t> examples) const {
  int64_t tokens = 0;
  for (int64_t i : examples) tokens += static_cast<int64_t>(train_.ids[static_cast<size_t>(i)].size());
  return tokens;
}

Evaluation SentimentTask::validate() {
  return evaluate_sentiment(model_, valid_, options_.batches.batch_size, options_.pad_batches,
                            options_.device, valid_features_.get());
}

Tensor sentiment_logits(SentimentModel& model, const Examples& examples, std::span<const int64_t> chosen,
                        bool pad_batches, Device device, const FeatureCache* features) {
  const Inference inference;
  const auto ids = ids_of(examples, chosen, pad_batches, model.encoder().tokenizer().pad_id());
  const PackedBatch batch = PackedBatch::of_ids(ids).to(device);
  return model.head(features ? features->gather(chosen) : model.encoder()(batch), batch);
}

std::vector<double> sentiment_probabilities(SentimentModel& model, const Examples& examples,
                                            int64_t batch_size, bool pad_batches, Device device,
                                            const Progress& progress) {
  model.set_training(false);
  std::vector<double> probabilities(static_cast<size_t>(examples.size()));
  int64_t done = 0;
  for (const auto& chosen : sorted_batches(examples, batch_size)) {
    const auto logits = on_host(sentiment_logits(model, examples, chosen, pad_batches, device));
    for (size_t i = 0; i < chosen.size(); ++i)
      probabilities[static_cast<size_t>(chosen[i])] = 1 / (1 + std::exp(-logits[i]));
    done += static_cast<int64_t>(chosen.size());
    if (progress) progress(done, examples.size());
  }
  return probabilities;
}

Evaluation evaluate_sentiment(SentimentModel& model, const Examples& examples, int64_t batch_size,
                              bool pad_batches, Device device, const FeatureCache* features,
                              const Progress& progress) {
  model.set_training(false);
  Evaluation result;
  double loss = 0, batch_accuracies = 0;
  int64_t correct = 0, batches = 0;
  for (const auto& chosen : sorted_batches(examples, batch_size)) {
    const auto logits = on_host(sentiment_logits(model, examples, chosen, pad_batches, device, features));
    int64_t correct_here = 0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const double label = examples.labels[static_cast<size_t>(chosen[i])];
      loss += cross_entropy_of(logits[i], label);
      correct_here += (logits[i] >= 0) == (label > 0.5);
    }
    correct += correct_here;
    batch_accuracies += static_cast<double>(correct_here) / static_cast<double>(chosen.size());
    ++batches;
    result.count += static_cast<int64_t>(chosen.size());
    if (progress) progress(result.count, examples.size());
  }
  const auto count = static_cast<double>(std::max<int64_t>(1, result.count));
  result.loss = loss / count;
  result.accuracy = static_cast<double>(correct) / count;
  result.batch_mean_accuracy = batch_accuracies / static_cast<double>(std::max<int64_t>(1, batches));
  return result;
}

}  // namespace tenon
