// Mixed precision: activations in bf16, everything that training keeps in fp32; and losses near those of
// fp32.
#include "engine/precision.h"

#include "engine/autograd.h"
#include "engine/nn/linear.h"
#include "engine/random.h"
#include "tests/training.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

struct InPrecision {
  explicit InPrecision(Precision chosen) { set_precision(chosen); }
  ~InPrecision() { set_precision(Precision::fp32); }
};

// Losses of some steps of Adam, and what the parameters and gradients are made of.
struct Trained {
  std::vector<double> losses;
  std::vector<DType> types;
};

Trained train_in(Precision chosen, Device device, const GoldenRun& golden, bool fine_tune, size_t steps) {
  const InPrecision mode(chosen);
  SentimentModel model = golden.model(DType::f32);
  SentimentTask task(model, golden.examples, golden.examples,
                     {.batches = {.order = BatchOrder::sequential, .batch_size = GoldenRun::batch_size},
                      .fine_tune = fine_tune,
                      .device = device});
  const auto optimizer = make_adam(named_parameters(model));
  Trained trained;
  for (size_t step = 0; step < steps; ++step) {
    set_random_state(golden.seed(), static_cast<uint32_t>(step));
    model.set_training(true);
    optimizer->zero_grad();
    const Tensor loss = task.loss(task.batches(0)[step], 0);
    loss.backward();
    trained.types.push_back(loss.dtype());
    trained.losses.push_back(loss.item());
    optimizer->step(1e-3);
  }
  for (const auto& [name, parameter] : named_parameters(model)) {
    trained.types.push_back(parameter->dtype());
    if (parameter->requires_grad()) trained.types.push_back(parameter->grad().dtype());
  }
  for (const auto& [name, state] : optimizer->state()) trained.types.push_back(state->dtype());
  return trained;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double here = std::fabs(a[i] - b[i]);
    worst = here <= INFINITY ? std::max(worst, here) : INFINITY;
  }
  return worst;
}

}  // namespace

TEST_CASE("in bf16 a frozen encoder computes in bf16, and its results are near those of fp32") {
  const EncoderFolder folder;
  const auto encoder = folder.load();
  const PackedBatch batch = PackedBatch::of_ids(random_examples({9, 1, 20}).ids);
  const Inference inference;
  const Tensor exact = (*encoder)(batch);
  const InPrecision mode(Precision::bf16);
  const Tensor found = (*encoder)(batch);
  CHECK(found.dtype() == DType::bf16);
  CHECK(error(to_full_precision(found), exact) > 1e-4);
  CHECK(error(to_full_precision(found), exact) < 0.03);
}

TEST_CASE("a frozen parameter is cast once, one in training each time, with a gradient in fp32") {
  ParameterCast cast_frozen, cast_trained;
  const Tensor frozen = random_tensor({3, 4}, 1, DType::f32),
               trained = leaf(random_tensor({3, 4}, 1, DType::f32));
  CHECK(cast_frozen(frozen, DType::f32).storage() == frozen.storage());
  const Tensor first = cast_frozen(frozen, DType::bf16);
  CHECK(first.dtype() == DType::bf16);
  CHECK(cast_frozen(frozen, DType::bf16).storage() == first.storage());
  const Tensor again = cast_trained(trained, DType::bf16);
  CHECK(cast_trained(trained, DType::bf16).storage() != again.storage());
  sum(again).backward();
  CHECK(trained.grad().dtype() == DType::f32);
  // Another parameter in the place of the first.
  const Tensor other = random_tensor({3, 4}, 2, DType::f32);
  CHECK(same_bits(cast_frozen(other, DType::bf16), cast(other, DType::bf16)));
}

TEST_CASE("parameters, gradients, the optimiser's state and the loss stay fp32") {
  const GoldenRun golden("finetune");
  for (const Precision chosen : {Precision::tf32, Precision::bf16})
    for (const DType type : train_in(chosen, Device::cpu, golden, true, 1).types) CHECK(type == DType::f32);
}

TEST_CASE("losses in tf32 and bf16 are near those of fp32") {
  for (const bool fine_tune : {false, true}) {
    const GoldenRun golden(fine_tune ? "finetune" : "frozen");
    for (const Device device : {Device::cpu, Device::simt}) {
      const size_t steps = device == Device::cpu ? 20 : 2;
      INFO(to_string(device) << (fine_tune ? ", fine-tuned" : ", frozen"));
      const auto exact = train_in(Precision::fp32, Device::cpu, golden, fine_tune, steps).losses;
      const auto tf32 = train_in(Precision::tf32, device, golden, fine_tune, steps).losses;
      const auto bf16 = train_in(Precision::bf16, device, golden, fine_tune, steps).losses;
      std::printf("%s%s: tf32 %.2g, bf16 %.2g from fp32\n", to_string(device).c_str(),
                  fine_tune ? ", fine-tuned" : "", largest_difference(tf32, exact),
                  largest_difference(bf16, exact));
      CHECK(largest_difference(tf32, exact) < 2e-3);
      CHECK(largest_difference(bf16, exact) < 2e-2);
      CHECK(largest_difference(bf16, exact) > 1e-6);  // it was bf16
    }
  }
}

TEST_CASE("an unknown precision is refused") {
  CHECK_THAT(message_of([] { parse_precision("fp8"); }), Contains("'fp8'") && Contains("bf16"));
}
