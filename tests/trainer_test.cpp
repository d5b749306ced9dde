// The training loop: it learns, a resumed run repeats the bits of an uninterrupted one, the best state is
// kept, and a loss that is not finite stops it with a name.
#include "engine/train/trainer.h"

#include "engine/autograd.h"
#include "kernels/base/launches.h"
#include "tests/models.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

const std::atomic<bool> never = false;

// One parameter, whose loss is its sum: with SGD at rate 1 it falls by 1 with each step.
class Countdown final : public TrainTask {
 public:
  struct Parameter final : Module {
    void visit(Visitor& v) override { v("weight", weight); }
    Tensor weight = leaf(Tensor::full({1}, DType::f32, 10));
  };

  explicit Countdown(std::vector<double> valid_losses) : valid_losses_(std::move(valid_losses)) {}
  Module& module() override { return parameter; }
  std::vector<std::vector<int64_t>> batches(int64_t) override { return {{0}, {1}}; }
  Tensor loss(std::span<const int64_t>, int64_t) override {
    const Tensor& w = parameter.weight;
    if (++steps_ == failing_at) throw KernelFailure("a kernel failed");
    return steps_ < overflow_at ? sum(w) : sum(multiply(scale(w, 1e30), scale(w, 1e30)));
  }
  int64_t tokens(std::span<const int64_t>) const override { return 1; }
  Evaluation validate() override { return {.loss = valid_losses_.at(validations_++)}; }

  Parameter parameter;
  int overflow_at = 1000, failing_at = 0;

 private:
  std::vector<double> valid_losses_;
  size_t validations_ = 0;
  int steps_ = 0;
};

// One parameter that rises by 1 with each step, and a product that overflows at 6: a function of the
// parameter alone, so that repeated steps lead to the same.
class Overflow final : public TrainTask {
 public:
  struct Parameter final : Module {
    void visit(Visitor& v) override { v("weight", weight); }
    Tensor weight;
  };
  explicit Overflow(double start) { parameter.weight = leaf(Tensor::full({1}, DType::f32, start)); }
  Module& module() override { return parameter; }
  std::vector<std::vector<int64_t>> batches(int64_t) override { return {{0}, {1}, {2}, {3}}; }
  Tensor loss(std::span<const int64_t>, int64_t) override {
    const Tensor large = scale(parameter.weight, 3.2e18);
    return add(scale(parameter.weight, -1), scale(multiply(large, large), 0));
  }
  int64_t tokens(std::span<const int64_t>) const override { return 1; }
  Evaluation validate() override { return {.loss = 1}; }

  Parameter parameter;
};

// A sentiment model in training, with all that belongs to it.
class Run {
 public:
  Run(const EncoderFolder& folder, const std::filesystem::path& out, const Examples& examples,
      const TrainOptions& options, std::atomic<bool>* interrupt = nullptr, int64_t at = 0)
      : model(folder.model()),
        task(
            model, examples, examples,
            {.batches = {.order = BatchOrder::bucketed, .batch_size = 4, .seed = 8}, .cache_features = true}),
        optimizer(make_adam(named_parameters(model))),
        checkpoints(out),
        trainer(task, *optimizer, options, checkpoints, {.step = [this, interrupt, at](const StepRecord& s) {
                  losses.push_back(s.loss);
                  if (interrupt && s.step == at) *interrupt = true;
                }}) {}

  SentimentModel model;
  SentimentTask task;
  std::unique_ptr<Optimizer> optimizer;
  CheckpointStore checkpoints;
  std::vector<double> losses;
  Trainer trainer;
};

}  // namespace

TEST_CASE("the sentiment model learns 32 reviews by heart") {
  const EncoderFolder folder;
  const TemporaryFolder out;
  const Examples examples = random_examples(ragged_lengths(32, 30));
  Run run(folder, out.path(), examples, {.epochs = 25, .seed = 1, .schedule = {.lr = 1e-2}});
  CHECK(run.task.validate().accuracy < 0.8);
  REQUIRE(run.trainer.run(never));
  const Evaluation found = run.task.validate();
  CHECK(found.accuracy == 1);
  CHECK(found.loss < 0.05);
}

TEST_CASE("a run that is interrupted within an epoch and resumed repeats the bits of one that is not") {
  const EncoderFolder folder;
  const TemporaryFolder whole_out, parts_out;
  const Examples examples = random_examples(ragged_lengths(18, 30));  // five steps an epoch
  const TrainOptions options{.epochs = 3,
                             .seed = 1,
                             .schedule = {.lr = 1e-2, .decay = Decay::cosine, .warmup_steps = 3},
                             .clip_norm = 0.5,
                             .accumulate = 2};
  Run whole(folder, whole_out.path(), examples, options);
  REQUIRE(whole.trainer.run(never));

  std::atomic<bool> interrupted = false;
  Run first(folder, parts_out.path(), examples, options, &interrupted, 7);
  CHECK_FALSE(first.trainer.resume());
  CHECK_FALSE(first.trainer.run(interrupted));
  CHECK(first.trainer.step() == 7);
  CHECK(first.trainer.finished_epochs() == 1);

  Run second(folder, parts_out.path(), examples, options);
  REQUIRE(second.trainer.resume());
  CHECK(second.trainer.step() == 7);
  REQUIRE(second.trainer.run(never));

  CHECK(std::vector(whole.losses.begin() + 7, whole.losses.end()) == second.losses);
  CHECK(whole.trainer.best_epoch() == second.trainer.best_epoch());
  const auto expected = named_parameters(whole.model), found = named_parameters(second.model);
  for (size_t i = 0; i < expected.size(); ++i) {
    INFO(expected[i].first);
    CHECK(same_bits(*found[i].second, *expected[i].second));
  }
}

TEST_CASE("the state with the lowest validation loss is what training leaves, also after a resume") {
  const TemporaryFolder out;
  const CheckpointStore checkpoints(out.path());
  const TrainOptions options{.epochs = 3, .schedule = {.lr = 1}};
  {
    Countdown task({3, 1, 2});
    const auto optimizer = make_sgd(named_parameters(task.parameter));
    std::vector<bool> best;
    Trainer trainer(task, *optimizer, options, checkpoints,
                    {.epoch = [&](const EpochRecord& epoch) { best.push_back(epoch.best); }});
    REQUIRE(trainer.run(never));
    CHECK(trainer.best_epoch() == 2);
    CHECK(best == std::vector<bool>{true, true, false});
    CHECK(task.parameter.weight.item() == 6);  // two steps in each of two epochs
  }
  Countdown task({});
  const auto optimizer = make_sgd(named_parameters(task.parameter));
  Trainer trainer(task, *optimizer, options, checkpoints, {});
  REQUIRE(trainer.resume());
  REQUIRE(trainer.run(never));
  CHECK(task.parameter.weight.item() == 6);
}

TEST_CASE("a loss that is not finite stops with the step, and the first tensor or operation") {
  const TemporaryFolder out;
  const CheckpointStore checkpoints(out.path());
  const auto message = [&](Countdown& task) {
    const auto optimizer = make_sgd(named_parameters(task.parameter));
    Trainer trainer(task, *optimizer, {.epochs = 3, .schedule = {.lr = 1}}, checkpoints, {});
    return message_of([&] { trainer.run(never); });
  };
  Countdown overflow({3, 1, 2});
  overflow.overflow_at = 4;
  CHECK_THAT(message(overflow),
             Contains("the loss of step 4 is not finite") && Contains("the output of multiply"));
  Countdown broken({3, 1, 2});
  broken.parameter.weight = leaf(Tensor::full({1}, DType::f32, NAN));
  CHECK_THAT(message(broken), Contains("the loss of step 1 is not finite") && Contains("parameter weight"));
  Countdown invalid({NAN});
  CHECK_THAT(message(invalid), Contains("validation loss after epoch 1"));
}

TEST_CASE("losses that are fetched some steps at a time are those that are fetched at once") {
  const EncoderFolder folder;
  const Examples examples = random_examples(ragged_lengths(18, 30));  // five steps an epoch
  std::vector<std::vector<double>> losses;
  std::vector<Tensor> weights;
  for (const int64_t fetch_every : {1, 2, 100}) {
    const TemporaryFolder out;
    Run run(folder, out.path(), examples,
            {.epochs = 2, .seed = 1, .clip_norm = 0.5, .accumulate = 3, .fetch_every = fetch_every});
    REQUIRE(run.trainer.run(never));
    losses.push_back(run.losses);
    weights.push_back(named_parameters(run.model).back().second->clone());
  }
  CHECK(losses[0].size() == 10);
  CHECK(losses[1] == losses[0]);
  CHECK(losses[2] == losses[0]);
  CHECK(same_bits(weights[2], weights[0]));
}

TEST_CASE("a loss that is found late not to be finite is named as if it had been found at once") {
  for (const int64_t step : {4, 7})  // before the first checkpoint, and after it
    for (const int64_t fetch_every : {1, 3, 100}) {
      const TemporaryFolder out;
      const CheckpointStore checkpoints(out.path());
      Overflow task(7 - static_cast<double>(step));
      const auto optimizer = make_adam(named_parameters(task.parameter));
      std::vector<int64_t> reported;
      Trainer trainer(task, *optimizer, {.epochs = 3, .schedule = {.lr = 1}, .fetch_every = fetch_every},
                      checkpoints,
                      {.step = [&](const StepRecord& record) { reported.push_back(record.step); }});
      CHECK_THAT(
          message_of([&] { trainer.run(never); }),
          Contains(str("the loss of step ", step, " is not finite")) && Contains("the output of multiply"));
      for (const int64_t each : reported) CHECK(each < step);
    }
}

TEST_CASE("a kernel that fails ends the training with the last good checkpoint") {
  const TemporaryFolder out;
  const CheckpointStore checkpoints(out.path());
  const auto message = [&](int failing_step) {
    Countdown task({3, 1, 2});
    task.failing_at = failing_step;
    const auto optimizer = make_sgd(named_parameters(task.parameter));
    Trainer trainer(task, *optimizer, {.epochs = 3, .schedule = {.lr = 1}}, checkpoints, {});
    return message_of([&] { trainer.run(never); });
  };
  CHECK_THAT(message(2), Contains("a kernel failed") && Contains("no checkpoint"));
  CHECK_THAT(message(4), Contains("a kernel failed") &&
                             Contains((out / "checkpoints/step-00000002").string()) && Contains("--resume"));
}

TEST_CASE("schedules: a linear warm-up, then constant, linear or cosine decay to zero") {
  const auto values = [](Decay decay) {
    const Schedule schedule{.lr = 8, .decay = decay, .warmup_steps = 2, .total_steps = 6};
    std::vector<double> found;
    for (int64_t step = 0; step <= 7; ++step) found.push_back(schedule(step));
    return found;
  };
  CHECK(values(Decay::constant) == std::vector<double>{4, 8, 8, 8, 8, 8, 8, 8});
  CHECK(values(Decay::linear) == std::vector<double>{4, 8, 8, 6, 4, 2, 0, 0});
  const auto cosine = values(Decay::cosine);
  const double half = std::sqrt(0.5);
  const std::vector<double> expected{4, 8, 8, 4 + 4 * half, 4, 4 - 4 * half, 0, 0};
  for (size_t i = 0; i < expected.size(); ++i) CHECK(cosine[i] == Approx(expected[i]).margin(1e-12));
  CHECK(parse_decay("cosine") == Decay::cosine);
  CHECK_THAT(message_of([] { parse_decay("step"); }), Contains("unknown schedule 'step'"));
}

TEST_CASE("an optimiser names a parameter without a gradient, and refuses to have nothing to do") {
  Countdown task({});
  const auto optimizer = make_adam(named_parameters(task.parameter));
  CHECK_THAT(message_of([&] { optimizer->step(1); }), Contains("parameter weight has no gradient"));
  task.parameter.weight.set_requires_grad(false);
  CHECK_THAT(message_of([&] { make_adam(named_parameters(task.parameter)); }), Contains("nothing to train"));
}
