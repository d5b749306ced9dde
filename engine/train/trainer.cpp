#include "engine/train/trainer.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/random.h"
#include "kernels/base/launches.h"
#include "kernels/base/profile.h"

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
  try {
    return train(interrupted);
  } catch (const KernelFailure& failure) {
    const auto newest = checkpoints_.newest();
    fail(failure.what(),
         newest ? str("; the last good checkpoint is ", newest->string(), ", continue with --resume")
                : "; no checkpoint had been saved yet");
  }
}

bool Trainer::train(const std::atomic<bool>& interrupted) {
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
  const auto start = reported_ = Clock::now();
  const double seconds_before = epoch_seconds_;
  int64_t examples = 0;
  for (const auto& batch : batches) examples += static_cast<int64_t>(batch.size());
  while (batch_in_epoch_ < static_cast<int64_t>(batches.size())) {
    if (interrupted) return false;
    const ProfiledStep profiled(step_ + 1);
    const auto& batch = batches[static_cast<size_t>(batch_in_epoch_)];
    begin_step(batch, static_cast<int64_t>(batches.size()));
    train_step(batch);
    ++step_;
    ++batch_in_epoch_;
    epoch_seconds_ = seconds_before + seconds_since(start);
    if (static_cast<int64_t>(steps_.size()) >= fetch_every()) report_steps();
    if (options_.save_every > 0 && step_ % options_.save_every == 0) save();
  }
  if (interrupted) return false;
  report_steps();
  finish_epoch(examples);
  return true;
}

void Trainer::begin_step(const std::vector<int64_t>& batch, int64_t steps_per_epoch) {
  steps_.push_back({.record = {.step = step_ + 1,
                               .epoch = epoch_ + 1,
                               .steps_per_epoch = steps_per_epoch,
                               .lr = options_.schedule(step_)},
                    .examples = static_cast<int64_t>(batch.size()),
                    .tokens = task_.tokens(batch)});
}

double Trainer::step_on(const std::vector<int64_t>& batch) {
  begin_step(batch, 1);
  train_step(batch);
  ++step_;
  fetch_losses();
  const double loss = steps_.back().record.loss;
  check(std::isfinite(loss), "the loss of step ", step_, " is not finite; lower --lr");
  steps_.clear();
  return loss;
}

void Trainer::train_step(const std::vector<int64_t>& batch) {
  set_random_state(options_.seed, static_cast<uint32_t>(step_));
  task_.module().set_training(true);
  optimizer_.zero_grad();
  accumulate_gradients(batch);
  if (fetch_every() == 1) {  // early enough to leave the parameters as they were
    fetch_losses();
    if (!std::isfinite(steps_.back().record.loss)) explain_non_finite(batch);
  }
  const Section section("optimizer");
  if (options_.clip_norm > 0) optimizer_.clip_gradients(options_.clip_norm);
  optimizer_.step(options_.schedule(step_));
}

// The parts' losses are weighted so that the gradient is that of the whole batch.
void Trainer::accumulate_gradients(const std::vector<int64_t>& batch) {
  const auto size = static_cast<int64_t>(batch.size());
  const int64_t part = (size + options_.accumulate - 1) / options_.accumulate;
  losses_.begin_step();
  for (int64_t begin = 0; begin < size; begin += part) {
    const int64_t count = std::min(part, size - begin);
    const std::span examples(batch.data() + begin, static_cast<size_t>(count));
    const double weight = static_cast<double>(count) / static_cast<double>(size);
    const Tensor loss = [&] {
      const Section section("forward");
      return task_.loss(examples, begin);
    }();
    losses_.add(loss, weight);
    (weight == 1 ? loss : scale(loss, weight)).backward();
  }
}

int64_t Trainer::fetch_every() const {
  if (options_.fetch_every > 0) return options_.fetch_every;
  return trained_[0].second->device() == Device::cpu ? 1 : 32;
}

void Trainer::fetch_losses() {
  const Section section("loss to the host");
  const size_t first = steps_.size() - losses_.steps();
  const std::vector<double> losses = losses_.fetch();
  for (size_t i = 0; i < losses.size(); ++i) {
    Step& step = steps_[first + i];
    step.record.loss = losses[i];
    epoch_loss_sum_ += losses[i] * static_cast<double>(step.examples);
  }
}

// Also those whose loss is still on the device.
void Trainer::report_steps() {
  const Section section("report");
  fetch_losses();
  int64_t tokens = 0;
  for (const Step& step : steps_) {
    if (!std::isfinite(step.record.loss)) explain_late(step.record.step);
    tokens += step.tokens;
  }
  const double rate = static_cast<double>(tokens) / seconds_since(reported_);
  for (Step& step : steps_) {
    step.record.tokens_per_second = rate;
    if (observer_.step) observer_.step(step.record);
  }
  steps_.clear();
  reported_ = Clock::now();
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

// Steps after a loss that is not finite spoil what it came from. So they are repeated from the last state
// that is known, and each is now looked at: the same bits lead to the same loss.
void Trainer::explain_late(int64_t step) {
  steps_.clear();
  observer_ = {};
  options_.fetch_every = 1;
  options_.save_every = 0;
  start_again();
  const std::atomic<bool> never = false;
  while (step_ < step) train_epoch(never);
  fail("the loss of step ", step, " is not finite; lower --lr, or give --clip-norm");
}

// The newest checkpoint, or the beginning: best_ holds the first parameters until the first epoch has ended,
// with a checkpoint.
void Trainer::start_again() {
  if (resume()) return;
  for (size_t i = 0; i < trained_.size(); ++i) trained_[i].second->copy_from(best_[i]);
  for (const auto& [name, state] : optimizer_.state()) state->zero();
  optimizer_.set_steps(0);
  step_ = epoch_ = batch_in_epoch_ = 0;
  epoch_loss_sum_ = epoch_seconds_ = 0;
}

void Trainer::finish_epoch(int64_t examples) {
  const auto start = Clock::now();
  task_.module().set_training(false);
  const Evaluation valid = [&] {
    const Section section("validation");
    return task_.validate();
  }();
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
  const Section section("checkpoint");
  if (!steps_.empty()) report_steps();
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
