// The same training run as PyTorch's: same weights, batches and dropout masks, so the same 50 losses. It goes
// the way of `tenon train`: SentimentTask, Trainer, Adam.
#include "tests/training.h"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t steps = GoldenRun::steps, batch_size = GoldenRun::batch_size;

std::vector<double> losses(const GoldenRun& golden, SentimentTaskOptions options, DType dtype,
                           int64_t accumulate = 1) {
  SentimentModel model = golden.model(dtype);
  options.batches = {.order = BatchOrder::sequential, .batch_size = batch_size};
  SentimentTask task(model, golden.examples, golden.examples, options);
  const auto optimizer = make_adam(named_parameters(model));
  const TemporaryFolder folder;
  const CheckpointStore checkpoints(folder.path());
  std::vector<double> found;
  Trainer trainer(task, *optimizer, {.epochs = 1, .seed = golden.seed(), .accumulate = accumulate},
                  checkpoints, {.step = [&](const StepRecord& step) { found.push_back(step.loss); }});
  const std::atomic<bool> interrupted = false;
  REQUIRE(trainer.run(interrupted));
  REQUIRE(found.size() == steps);
  return found;
}

// The largest difference from PyTorch's losses in fp64.
double difference(const std::vector<double>& found, const GoldenRun& run) {
  const TensorView reference = golden(run.file, "f64.losses");
  double worst = 0;
  for (int64_t k = 0; k < steps; ++k) {
    const double here = std::fabs(found[static_cast<size_t>(k)] - element(reference, k));
    worst = here <= INFINITY ? std::max(worst, here) : INFINITY;
  }
  return worst;
}

}  // namespace

TEST_CASE("the losses over a frozen encoder equal PyTorch's") {
  const GoldenRun run("frozen");
  CHECK(difference(losses(run, {}, DType::f64), run) <= 1e-9);
  CHECK(difference(losses(run, {}, DType::f32), run) <= 1e-4);
}

TEST_CASE("the losses of fine-tuning equal PyTorch's, dropout of the encoder included") {
  const GoldenRun run("finetune");
  CHECK(difference(losses(run, {.fine_tune = true}, DType::f64), run) <= 1e-9);
  CHECK(difference(losses(run, {.fine_tune = true}, DType::f32), run) <= 1e-4);
}

TEST_CASE("cached features and accumulated gradients change no loss") {
  const GoldenRun run("frozen");
  CHECK(difference(losses(run, {.cache_features = true}, DType::f32), run) <= 1e-4);
  CHECK(difference(losses(run, {}, DType::f64, 3), run) <= 1e-9);
}

TEST_CASE("the comparison sees a wrong seed and a missing dropout") {
  const GoldenRun run("finetune");
  CHECK(difference(losses(run, {}, DType::f64), run) > 1e-3);  // a frozen encoder instead
}
