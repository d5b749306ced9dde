// A tiny BERT and GRU in training through the CUDA sources, on simt (and cuda, where there is one): losses
// and gradients of the cpu, the same dropout masks, and a step in which the host neither waits nor asks for
// memory.
#include <chrono>
#include <map>

#include "engine/autograd.h"
#include "engine/random.h"
#include "kernels/cpu/parallel.h"
#include "tests/training.h"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr size_t compared_steps = 3;

std::vector<Device> gpus() {
  std::vector<Device> present{Device::simt};
  if (has_device(Device::cuda)) present.push_back(Device::cuda);
  return present;
}

SentimentTaskOptions options_on(Device device, bool fine_tune) {
  return {.batches = {.order = BatchOrder::sequential, .batch_size = GoldenRun::batch_size},
          .fine_tune = fine_tune,
          .device = device};
}

struct Trained {
  std::vector<double> losses;
  std::map<std::string, Tensor> gradients;  // of the first step, on the host
};

// Some steps of Adam with clipping, by hand: the trainer would drop the gradients.
Trained train_on(Device device, const GoldenRun& golden, bool fine_tune) {
  SentimentModel model = golden.model(DType::f32);
  SentimentTask task(model, golden.examples, golden.examples, options_on(device, fine_tune));
  const auto optimizer = make_adam(named_parameters(model));
  Trained trained;
  for (size_t step = 0; step < compared_steps; ++step) {
    set_random_state(golden.seed(), static_cast<uint32_t>(step));
    model.set_training(true);
    optimizer->zero_grad();
    const Tensor loss = task.loss(task.batches(0)[step], 0);
    loss.backward();
    trained.losses.push_back(loss.item());
    if (step == 0)
      for (const auto& [name, parameter] : named_parameters(model))
        if (parameter->requires_grad()) trained.gradients[name] = parameter->grad().to(Device::cpu).clone();
    optimizer->clip_gradients(0.5);
    optimizer->step(1e-3);
  }
  return trained;
}

double largest(const Tensor& x) { return error(x, Tensor::zeros(x.shape(), x.dtype())); }

void compare_training(const GoldenRun& golden, bool fine_tune) {
  const Trained cpu = train_on(Device::cpu, golden, fine_tune);
  for (const Device device : gpus()) {
    INFO(to_string(device));
    const Trained other = train_on(device, golden, fine_tune);
    for (size_t i = 0; i < compared_steps; ++i) CHECK(std::fabs(other.losses[i] - cpu.losses[i]) <= 1e-5);
    double all = 0;  // a key's bias has no gradient but for rounding: it is measured by the largest of all
    for (const auto& [name, gradient] : cpu.gradients) all = std::max(all, largest(gradient));
    REQUIRE(other.gradients.size() == cpu.gradients.size());
    for (const auto& [name, gradient] : cpu.gradients) {
      INFO(name);
      CHECK(largest(subtract(other.gradients.at(name), gradient)) <=
            1e-5 * std::max(largest(gradient), 0.01 * all));
    }
  }
}

Tensor on(Device device, const Tensor& x) { return x.to(device); }

}  // namespace

TEST_CASE("over a frozen encoder losses and all gradients are the cpu's") {
  const GoldenRun golden("frozen");
  compare_training(golden, false);
}

TEST_CASE("in fine-tuning losses and all gradients are the cpu's") {
  const GoldenRun golden("finetune");
  compare_training(golden, true);
}

TEST_CASE("dropout draws the cpu's masks, bit for bit") {
  const PackedBatch batch = PackedBatch::of_lengths({7, 1, 12, 3}, 5);
  const Dropout rows{0.25, {.seed = 3, .step = 9, .operation = operation_key("rnn.dropout_l0")}};
  const Dropout scores{0.1, {.seed = 3, .step = 9, .operation = operation_key("attention")}};
  constexpr int64_t columns = 33, head = 16;
  const Tensor ones = Tensor::full({batch.tokens, columns}, DType::f32, 1);
  const Tensor zeros = Tensor::zeros({batch.tokens, 2 * head}, DType::f32);
  // With equal scores, and 1 in the column of a row's own position, attention puts out its mask.
  Tensor unit = Tensor::zeros({batch.tokens, 2 * head}, DType::f32);
  const auto positions = batch.positions.to_vector<int32_t>();
  for (int64_t row = 0; row < batch.tokens; ++row)
    for (int64_t h = 0; h < 2; ++h)
      static_cast<float*>(unit.data())[row * 2 * head + h * head + positions[static_cast<size_t>(row)]] = 1;
  const auto masks = [&](Device device) {
    const PackedBatch there = batch.to(device);
    const Tensor probabilities = attention(on(device, zeros), on(device, zeros), on(device, unit),
                                           there.cu_seqlens, 2, there.max_seqlen, 1, scores, 5);
    std::vector<bool> kept;
    for (const float x : probabilities.to_vector<float>()) kept.push_back(x != 0);
    return std::pair(dropout(on(device, ones), there.row_keys, rows).to(Device::cpu), kept);
  };
  const auto expected = masks(Device::cpu);
  for (const Device device : gpus()) {
    INFO(to_string(device));
    const auto found = masks(device);
    CHECK(same_bits(found.first, expected.first));
    CHECK(found.second == expected.second);
  }
}

TEST_CASE("a training step after the second asks no device for memory, and the host does not wait") {
  const GoldenRun golden("finetune");
  Examples examples;  // batches of one shape: a larger one than ever before needs more memory
  for (size_t i = 0; i < 6 * GoldenRun::batch_size; ++i) {
    examples.ids.push_back(golden.examples.ids[i % GoldenRun::batch_size]);
    examples.labels.push_back(golden.examples.labels[i]);
  }
  std::vector<Device> devices = gpus();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    INFO(to_string(device));
    SentimentModel model = golden.model(DType::f32);
    SentimentTask task(model, examples, examples, options_on(device, true));
    const auto optimizer = make_adam(named_parameters(model));
    const TemporaryFolder folder;
    const CheckpointStore checkpoints(folder.path());
    struct Counts {
      uint64_t host, device, waits;
      bool operator==(const Counts&) const = default;
    };
    std::vector<Counts> after_batch;
    // What the counters say as each step takes its batch.
    class Watched final : public TrainTask {
     public:
      Watched(SentimentTask& task, const std::function<void()>& step) : task_(task), step_(step) {}
      Module& module() override { return task_.module(); }
      std::vector<std::vector<int64_t>> batches(int64_t epoch) override { return task_.batches(epoch); }
      Tensor loss(std::span<const int64_t> chosen, int64_t first) override {
        step_();
        return task_.loss(chosen, first);
      }
      int64_t tokens(std::span<const int64_t> chosen) const override { return task_.tokens(chosen); }
      Evaluation validate() override { return {.loss = 1}; }

     private:
      SentimentTask& task_;
      const std::function<void()>& step_;
    };
    const std::function<void()> note = [&] {
      after_batch.push_back({memory_stats(Device::cpu).system_calls, memory_stats(device).system_calls,
                             memory_stats(device).synchronisations});
    };
    Watched watched(task, note);
    Trainer trainer(
        watched, *optimizer,
        {.epochs = 1, .seed = golden.seed(), .clip_norm = 0.5, .fetch_every = device == Device::cpu ? 0 : 32},
        checkpoints, {});
    const std::atomic<bool> never = false;
    REQUIRE(trainer.run(never));
    REQUIRE(after_batch.size() == 6);
    for (size_t step = 3; step < after_batch.size(); ++step) CHECK(after_batch[step] == after_batch[2]);
    CHECK(memory_stats(device).synchronisations >=
          after_batch.back().waits + (device == Device::cpu ? 0 : 1));
  }
}

TEST_CASE("one step of the tiny model takes less than ten seconds on simt") {
  const GoldenRun golden("finetune");
  SentimentModel model = golden.model(DType::f32);
  SentimentTask task(model, golden.examples, golden.examples, options_on(Device::simt, true));
  const auto optimizer = make_adam(named_parameters(model));
  const auto start = std::chrono::steady_clock::now();
  task.loss(task.batches(0)[0], 0).backward();
  optimizer->clip_gradients(0.5);
  optimizer->step(1e-3);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("one training step on simt: %.2f s\n", seconds.count());
  CHECK(seconds.count() < 10);
}
