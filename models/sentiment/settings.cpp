#include "models/sentiment/settings.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/precision.h"

namespace tenon {
namespace {

using nlohmann::json;

// The one list of what is recorded: the same function writes and reads.
template <class Settings, class Field>
void each_field(Settings& s, const Field& field) {
  field("encoder", s.encoder);
  field("data", s.data);
  field("test_data", s.test_data);
  field("text_column", s.columns.text);
  field("label_column", s.columns.label);
  field("valid_fraction", s.split.valid_fraction);
  field("test_fraction", s.split.test_fraction);
  field("train_limit", s.split.train_limit);
  field("valid_limit", s.split.valid_limit);
  field("test_limit", s.split.test_limit);
  field("recipe", s.recipe);
  field("max_length", s.max_length);
  field("fine_tune", s.fine_tune);
  field("hidden_size", s.head.hidden_size);
  field("num_layers", s.head.num_layers);
  field("bidirectional", s.head.bidirectional);
  field("dropout", s.head.dropout);
  field("epochs", s.epochs);
  field("batch_size", s.batch_size);
  field("batches", s.batches);
  field("token_budget", s.token_budget);
  field("optimizer", s.optimizer);
  field("lr", s.lr);
  field("weight_decay", s.weight_decay);
  field("momentum", s.momentum);
  field("clip_norm", s.clip_norm);
  field("schedule", s.schedule);
  field("warmup_steps", s.warmup_steps);
  field("accumulate", s.accumulate);
  field("save_every", s.save_every);
  field("seed", s.seed);
  field("cache_features", s.cache_features);
  field("cache_file", s.cache_file);
  field("cache_dtype", s.cache_dtype);
  field("device", s.device);
  field("dtype", s.dtype);
  field("kernels", s.kernels);
  field("pad_batches", s.pad_batches);
  field("encoder_dropout", s.encoder_dropout);
}

BatchOrder parse_order(const std::string& name) {
  if (name == "random") return BatchOrder::random;
  if (name == "bucketed") return BatchOrder::bucketed;
  if (name == "packed") return BatchOrder::packed;
  fail("--batches ", name, " is unknown; use random, bucketed or packed");
}

}  // namespace

void SentimentSettings::apply_recipe() {
  check(recipe == "default" || recipe == "tutorial", "--recipe ", recipe,
        " is unknown; use default or tutorial");
  if (recipe == "default") return;
  pad_batches = encoder_dropout = true;
  batches = "random";
}

void SentimentSettings::validate() const {
  const auto positive = [](std::string_view flag, auto value) {
    check(value > 0, flag, " must be over 0, not ", value);
  };
  positive("--epochs", epochs);
  positive("--batch-size", batch_size);
  positive("--lr", lr);
  positive("--accumulate", accumulate);
  positive("--hidden-size", head.hidden_size);
  positive("--num-layers", head.num_layers);
  check(head.dropout >= 0 && head.dropout < 1, "--dropout must be at least 0 and below 1, not ",
        head.dropout);
  check(max_length == 0 || max_length >= 3, "--max-length must be 3 or more, not ", max_length);
  check(batches != "packed" || token_budget > 0, "--batches packed needs --token-budget");
  parse_precision(dtype);
  check(cache_dtype == "fp32" || cache_dtype == "bf16", "--cache-dtype ", cache_dtype,
        " is unknown; use fp32 or bf16");
  parse_order(batches);
  parse_decay(schedule);
  check(optimizer == "adam" || optimizer == "adamw" || optimizer == "sgd", "--optimizer ", optimizer,
        " is unknown; use adam, adamw or sgd");
}

SentimentTaskOptions SentimentSettings::task_options() const {
  SentimentTaskOptions options;
  options.batches = {
      .order = parse_order(batches), .batch_size = batch_size, .token_budget = token_budget, .seed = seed};
  options.fine_tune = fine_tune;
  options.pad_batches = pad_batches;
  options.encoder_dropout = encoder_dropout;
  options.cache_features = cache_features;
  options.cache = {.dtype = cache_dtype == "bf16" ? DType::bf16 : DType::f32, .file = cache_file};
  options.device = parse_device(device);
  return options;
}

TrainOptions SentimentSettings::train_options() const {
  return {.epochs = epochs,
          .seed = seed,
          .schedule = {.lr = lr, .decay = parse_decay(schedule), .warmup_steps = warmup_steps},
          .clip_norm = clip_norm,
          .accumulate = accumulate,
          .save_every = save_every};
}

std::unique_ptr<Optimizer> SentimentSettings::make_optimizer(Module& model) const {
  if (optimizer == "sgd")
    return make_sgd(named_parameters(model), {.momentum = momentum, .weight_decay = weight_decay});
  return make_adam(named_parameters(model),
                   {.weight_decay = weight_decay, .decoupled = optimizer == "adamw"});
}

json to_json(const SentimentSettings& settings) {
  json all = json::object();
  each_field(settings, [&](const char* name, const auto& value) { all[name] = value; });
  return all;
}

SentimentSettings settings_from_json(const json& all, const std::string& file) {
  SentimentSettings settings;
  each_field(settings, [&](const char* name, auto& value) {
    check(all.contains(name), file, " lacks the entry ", name,
          "; it was not written by this version of tenon");
    try {
      all.at(name).get_to(value);
    } catch (const json::exception&) {
      fail(file, ": the entry ", name, " has the wrong type");
    }
  });
  settings.split.seed = settings.seed;
  return settings;
}

}  // namespace tenon
