// Everything that decides the result of a training run, as settings.json records it.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "models/data/split.h"
#include "models/sentiment/task.h"

namespace tenon {

struct SentimentSettings {
  std::string encoder, data, test_data;  // paths as given
  Columns columns;
  SplitOptions split;
  std::string recipe = "default";
  int max_length = 0;  // tokens, special ones included; 0: the encoder's longest
  bool fine_tune = false;
  SentimentConfig head;

  int64_t epochs = 5, batch_size = 128;
  std::string batches = "bucketed";  // random, bucketed, packed
  int64_t token_budget = 0;          // of packed batches
  std::string optimizer = "adam";    // adam, adamw, sgd
  double lr = 1e-3, weight_decay = 0, momentum = 0, clip_norm = 0;
  std::string schedule = "constant";
  int64_t warmup_steps = 0, accumulate = 1, save_every = 0;
  uint64_t seed = 1;

  bool cache_features = false;
  std::string cache_file;                      // empty: in memory
  std::string cache_dtype = "fp32";            // or bf16
  std::string device = "cpu", dtype = "fp32";  // or tf32, bf16: engine/precision.h
  std::string kernels;                         // forced variants, "op=variant,op=variant"

  // The quirks of the published code, all on with the recipe "tutorial".
  bool pad_batches = false, encoder_dropout = false;

  // Sets what a recipe implies; throws for an unknown one.
  void apply_recipe();
  // Throws where a value makes no sense, naming the flag.
  void validate() const;

  SentimentTaskOptions task_options() const;
  TrainOptions train_options() const;
  std::unique_ptr<Optimizer> make_optimizer(Module& model) const;
};

nlohmann::json to_json(const SentimentSettings& settings);
SentimentSettings settings_from_json(const nlohmann::json& json, const std::string& file);

}  // namespace tenon
