// The training loop: batches, loss, gradients, one optimiser step, validation after each epoch, the state
// with the lowest validation loss kept. A resumed run repeats the bits of an uninterrupted one. The host does
// not wait for the device within a step: losses stay there until they are fetched, some steps at a time.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "engine/train/checkpoint.h"
#include "engine/train/loss_log.h"

namespace tenon {

struct Evaluation {
  double loss = 0;                 // mean over all examples
  double accuracy = 0;             // of all examples
  double batch_mean_accuracy = 0;  // mean of the batches' accuracies, as the published code has it
  int64_t count = 0;
};

// What is trained: a model with its data.
class TrainTask {
 public:
  virtual ~TrainTask() = default;
  virtual Module& module() = 0;
  virtual std::vector<std::vector<int64_t>> batches(int64_t epoch) = 0;  // examples of each step
  // Mean loss over the examples, (1). The first is number `first_sequence` of its step.
  virtual Tensor loss(std::span<const int64_t> examples, int64_t first_sequence) = 0;
  virtual int64_t tokens(std::span<const int64_t> examples) const = 0;
  virtual Evaluation validate() = 0;
};

struct TrainOptions {
  int64_t epochs = 5;
  uint64_t seed = 0;
  Schedule schedule;       // total_steps is set by the trainer
  double clip_norm = 0;    // 0: no clipping
  int64_t accumulate = 1;  // parts that a batch is cut into, one after another
  int64_t save_every = 0;  // steps between checkpoints besides those after each epoch; 0: none
  // Steps whose losses are fetched from the device together, since reading one holds the host until the
  // device is done. 0: each on the cpu, else 32.
  int64_t fetch_every = 0;
};

struct StepRecord {
  int64_t step, epoch, steps_per_epoch;  // from 1
  double loss, lr, tokens_per_second;
};
struct EpochRecord {
  int64_t epoch;  // from 1
  double train_loss, seconds;
  Evaluation valid;
  bool best;
};

struct TrainObserver {
  std::function<void(const StepRecord&)> step;
  std::function<void(const EpochRecord&)> epoch;
};

class Trainer {
 public:
  Trainer(TrainTask& task, Optimizer& optimizer, const TrainOptions& options,
          const CheckpointStore& checkpoints, TrainObserver observer);

  // Continues from the newest checkpoint; false if there is none.
  bool resume();
  // Trains to the end and leaves the best state in the model: true. Or, once `interrupted` is set, finishes
  // its step, saves and returns false. A loss that is not finite throws with its step and the first tensor
  // that is not, a kernel that fails with the last checkpoint.
  bool run(const std::atomic<bool>& interrupted);
  // One step by itself, outside of epochs and without checkpoints; its loss. For measuring.
  double step_on(const std::vector<int64_t>& batch);

  int64_t step() const { return step_; }
  int64_t steps() const { return options_.schedule.total_steps; }  // of all epochs
  int64_t finished_epochs() const { return epoch_; }
  int64_t best_epoch() const { return best_epoch_; }

 private:
  struct Step {  // whose loss may still be on the device
    StepRecord record;
    int64_t examples, tokens;
  };

  bool train(const std::atomic<bool>& interrupted);
  bool train_epoch(const std::atomic<bool>& interrupted);
  void begin_step(const std::vector<int64_t>& batch, int64_t steps_per_epoch);
  void train_step(const std::vector<int64_t>& batch);
  void accumulate_gradients(const std::vector<int64_t>& batch);
  int64_t fetch_every() const;
  void fetch_losses();
  void report_steps();
  [[noreturn]] void explain_non_finite(const std::vector<int64_t>& batch);
  [[noreturn]] void explain_late(int64_t step);
  void start_again();
  void finish_epoch(int64_t examples);
  void save();
  NamedParameters checkpoint_tensors();

  TrainTask& task_;
  Optimizer& optimizer_;
  TrainOptions options_;
  const CheckpointStore& checkpoints_;
  TrainObserver observer_;
  NamedParameters trained_;
  std::vector<Tensor> best_;  // like trained_
  LossLog losses_;
  std::vector<Step> steps_;  // not reported yet
  std::chrono::steady_clock::time_point reported_;

  int64_t step_ = 0, epoch_ = 0, batch_in_epoch_ = 0;
  double epoch_loss_sum_ = 0, epoch_seconds_ = 0;
  double best_loss_ = 0;
  int64_t best_epoch_ = 0;  // from 1; 0: none yet
};

}  // namespace tenon
