// The sentiment model with its reviews, as the trainer sees it.
#pragma once
#include "engine/train/trainer.h"
#include "models/data/batches.h"
#include "models/sentiment/feature_cache.h"
#include "models/sentiment/sentiment.h"

namespace tenon {

struct SentimentTaskOptions {
  BatchOptions batches;    // of training; evaluation is sorted by length, in batches of the same size
  bool fine_tune = false;  // train the encoder, too
  bool pad_batches =
      false;  // tutorial: sequences are filled up with PAD to the batch's longest, and PAD counts
  bool encoder_dropout = false;  // tutorial: the frozen encoder is in training mode during training
  bool cache_features = false;
  FeatureCacheOptions cache;
  Device device = Device::cpu;
};

class SentimentTask final : public TrainTask {
 public:
  // Examples must outlive the task. progress: of the feature cache, which is filled here.
  SentimentTask(SentimentModel& model, const Examples& train, const Examples& valid,
                const SentimentTaskOptions& options,
                const std::function<void(int64_t, int64_t)>& progress = nullptr);

  Module& module() override { return model_; }
  std::vector<std::vector<int64_t>> batches(int64_t epoch) override { return batches_.epoch(epoch); }
  Tensor loss(std::span<const int64_t> examples, int64_t first_sequence) override;
  int64_t tokens(std::span<const int64_t> examples) const override;
  Evaluation validate() override;

 private:
  const Examples &train_, &valid_;
  SentimentModel& model_;
  SentimentTaskOptions options_;
  Batches batches_;
  std::unique_ptr<FeatureCache> train_features_, valid_features_;
};

// Logits of the chosen examples in evaluation mode, in their order. `features` may be null.
Tensor sentiment_logits(SentimentModel& model, const Examples& examples, std::span<const int64_t> chosen,
                        bool pad_batches, Device device, const FeatureCache* features = nullptr);

// Each example's probability of the positive class; batches sorted by length.
std::vector<double> sentiment_probabilities(SentimentModel& model, const Examples& examples,
                                            int64_t batch_size, bool pad_batches, Device device,
                                            const std::function<void(int64_t, int64_t)>& progress = nullptr);

Evaluation evaluate_sentiment(SentimentModel& model, const Examples& examples, int64_t batch_size,
                              bool pad_batches, Device device, const FeatureCache* features = nullptr,
                              const std::function<void(int64_t, int64_t)>& progress = nullptr);

}  // namespace tenon
