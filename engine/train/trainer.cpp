#include "engine/train/trainer.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/random.h"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

NamedParameters trainable(Module& module) {
  NamedParameters all = named_parameters(module);
  std::erase_if(all, [](const auto& named) { return !named.second->requires_grad(); });
  return all;
}

}  // namespace

Trainer::Trainer(TrainTask& task, Optimizer& optimizer, const TrainOptions& options,
                 const CheckpointStore& checkpoints, TrainObserver observer)
    : task_(task),
      optimizer_(optimizer),
      options_(options),
      checkpoints_(checkpoints),
      observer_(std::move(observer)),
      trained_(trainable(task.module())) {
  for (const auto& [name, parameter] : trained_) best_.push_back(parameter->detach().clone());
  options_.schedule.total_steps = options_.epochs * static_cast<int64_t>(task.batches(0).size());
}

bool Trainer::run(const std::atomic<bool>& interrupted) {
  while (epoch_ < options_.epochs) {
    if (train_epoch(interrupted)) continue;
    save();
    return false;
  }
  for (size_t i = 0; i < trained_.size(); ++i) trained_[i].second->copy_from(best_[i]);
  return true;
}

// False if it was interrupted.
bool Trainer::train_epoch(const std::atomic<bool>& interrupted) {
  const auto batches = task_.batches(epoch_);
  const auto start = Clock::now();
  const double seconds_before = epoch_seconds_;
  int64_t examples = 0;
  for (const auto& batch : batches) examples += static_cast<int64_t>(batch.size());
  while (batch_in_epoch_ < static_cast<int64_t>(batches.size())) {
    if (interrupted) return false;
    const auto& batch = batches[static_cast<size_t>(batch_in_epoch_)];
    const auto step_start = Clock::now();
    const double lr = options_.schedule(step_);
    const double loss = train_step(batch);
    epoch_loss_sum_ += loss * static_cast<double>(batch.size());
    ++step_;
    ++batch_in_epoch_;
    epoch_seconds_ = seconds_before + seconds_since(start);
    if (observer_.step)
      observer_.step({step_, epoch_ + 1, static_cast<int64_t>(batches.size()), loss, lr,
                      static_cast<double>(task_.tokens(batch)) / seconds_since(step_start)});
    if (options_.save_every > 0 && step_ % options_.save_every == 0) save();
  }
  if (interrupted) return false;
  finish_epoch(examples);
  return true;
}

double Trainer::train_step(const std::vector<int64_t>& batch) {
  set_random_state(options_.seed, static_cast<uint32_t>(step_));
  task_.module().set_training(true);
  optimizer_.zero_grad();
  const double loss = accumulate_gradients(batch);
  if (!std::isfinite(loss)) explain_non_finite(batch);
  if (options_.clip_norm > 0) optimizer_.clip_gradients(options_.clip_norm);
  optimizer_.step(options_.schedule(step_));
  return loss;
}

// The parts' losses are weighted so that the gradient is that of the whole batch.
double Trainer::accumulate_gradients(const std::vector<int64_t>& batch) {
  const auto size = static_cast<int64_t>(batch.size());
  const int64_t part = (size + options_.accumulate - 1) / options_.accumulate;
  double mean = 0;
  for (int64_t begin = 0; begin < size; begin += part) {
    const int64_t count = std::min(part, size - begin);
    const std::span examples(batch.data() + begin, static_cast<size_t>(count));
    const double weight = static_cast<double>(count) / static_cast<double>(size);
    const Tensor loss = task_.loss(examples, begin);
    mean += weight * loss.item();
    if (!std::isfinite(mean)) return mean;
    (weight == 1 ? loss : scale(loss, weight)).backward();
  }
  return mean;
}

void Trainer::explain_non_finite(const std::vector<int64_t>& batch) {
  const std::string what = str("the loss of step ", step_ + 1, " is not finite");
  constexpr std::string_view advice = "lower --lr, or give --clip-norm";
  for (const auto& [name, parameter] : named_parameters(task_.module()))
    check(is_finite(*parameter), what, ": parameter ", name, " is the first tensor that is not; ", advice);
  try {
    const NoGrad no_grad;
    const FindNonFinite search;
    task_.loss(batch, 0);
  } catch (const Error& error) {
    fail(what, ": ", error.what(), "; ", advice);
  }
  fail(what, "; ", advice);
}

void Trainer::finish_epoch(int64_t examples) {
  const auto start = Clock::now();
  task_.module().set_training(false);
  const Evaluation valid = task_.validate();
  epoch_seconds_ += seconds_since(start);
  check(std::isfinite(valid.loss), "the validation loss after epoch ", epoch_ + 1,
        " is not finite; lower --lr");
  const bool best = best_epoch_ == 0 || valid.loss < best_loss_;
  if (best) {
    best_loss_ = valid.loss;
    best_epoch_ = epoch_ + 1;
    for (size_t i = 0; i < trained_.size(); ++i) best_[i].copy_from(trained_[i].second->detach());
  }
  const EpochRecord record{epoch_ + 1, epoch_loss_sum_ / static_cast<double>(examples), epoch_seconds_, valid,
                           best};
  ++epoch_;
  batch_in_epoch_ = 0;
  epoch_loss_sum_ = epoch_seconds_ = 0;
  if (observer_.epoch) observer_.epoch(record);
  save();
}

NamedParameters Trainer::checkpoint_tensors() {
  NamedParameters tensors = trained_;
  for (size_t i = 0; i < best_.size(); ++i) tensors.emplace_back("best." + trained_[i].first, &best_[i]);
  for (const auto& state : optimizer_.state()) tensors.push_back(state);
  return tensors;
}

void Trainer::save() {
  checkpoints_.save(step_, checkpoint_tensors(),
                    {{"step", step_},
                     {"epoch", epoch_},
                     {"batch_in_epoch", batch_in_epoch_},
                     {"epoch_loss_sum", epoch_loss_sum_},
                     {"epoch_seconds", epoch_seconds_},
                     {"best_loss", best_loss_},
                     {"best_epoch", best_epoch_},
                     {"optimizer_steps", optimizer_.steps()}});
}

bool Trainer::resume() {
  const auto newest = checkpoints_.newest();
  if (!newest) return false;
  const nlohmann::json state = CheckpointStore::load(*newest, checkpoint_tensors());
  try {
    step_ = state.at("step");
    epoch_ = state.at("epoch");
    batch_in_epoch_ = state.at("batch_in_epoch");
    epoch_loss_sum_ = state.at("epoch_loss_sum");
    epoch_seconds_ = state.at("epoch_seconds");
    best_loss_ = state.at("best_loss");
    best_epoch_ = state.at("best_epoch");
    optimizer_.set_steps(state.at("optimizer_steps"));
  } catch (const nlohmann::json::exception&) {
    fail((*newest / "manifest.json").string(),
         " is not a checkpoint's manifest; remove that folder to start again");
  }
  return true;
}

}  // namespace tenon
