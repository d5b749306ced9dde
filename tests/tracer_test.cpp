// One path through the whole core on every device: forward, gradients and an optimiser's step of a model of
// two layers, on simt (and cuda, where there is one) against the cpu. Nothing here knows a kernel.
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/optim/optimizer.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

constexpr int64_t rows = 7, columns = 33;

// Numbers of size one without a pattern.
Tensor wave(Shape shape, double frequency, Device device) {
  std::vector<float> values(static_cast<size_t>(shape.size()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(1.3 * std::sin(frequency * static_cast<double>(i * i + 1)));
  return Tensor::from(values, shape, device);
}

// loss = mean((layer_norm(gelu(x) weight) - target)^2)
struct Model {
  Tensor x, weight, gamma, beta, target;

  explicit Model(Device device)
      : x(wave({rows, columns}, 0.37, device)),
        weight(wave({rows, columns}, 0.71, device)),
        gamma(wave({columns}, 0.53, device)),
        beta(wave({columns}, 0.29, device)),
        target(wave({rows, columns}, 0.93, device)) {
    for (Tensor* parameter : {&x, &weight, &gamma, &beta}) parameter->set_requires_grad(true);
  }
  NamedParameters parameters() {
    return {{"x", &x}, {"weight", &weight}, {"gamma", &gamma}, {"beta", &beta}};
  }
  Tensor loss() const {
    const Tensor y = layer_norm(multiply(gelu(x), weight), gamma, beta, 1e-5);
    const Tensor difference = subtract(y, target);
    return mean(multiply(difference, difference));
  }
};

using MakeOptimizer = std::unique_ptr<Optimizer> (*)(NamedParameters);

struct Result {
  double loss_before, loss_after;
  std::vector<std::vector<float>> gradients, parameters;
};

Result step_on(Device device, MakeOptimizer make) {
  Model model(device);
  const auto optimizer = make(model.parameters());
  Result result;
  const Tensor loss = model.loss();
  result.loss_before = loss.item();
  loss.backward();
  optimizer->step(0.01);
  for (const auto& [name, parameter] : model.parameters()) {
    result.gradients.push_back(parameter->grad().to_vector<float>());
    result.parameters.push_back(parameter->to_vector<float>());
  }
  result.loss_after = model.loss().item();
  return result;
}

double largest_difference(const std::vector<std::vector<float>>& a,
                          const std::vector<std::vector<float>>& b) {
  double largest = 0;
  for (size_t k = 0; k < a.size(); ++k)
    for (size_t i = 0; i < a[k].size(); ++i)
      largest = std::max(largest, std::fabs(static_cast<double>(a[k][i]) - static_cast<double>(b[k][i])));
  return largest;
}

// Values are of size one, gradients up to 0.1: a tolerance of some roundings of fp32.
constexpr double tolerance = 1e-6;

void compare_devices(MakeOptimizer make) {
  const Result cpu = step_on(Device::cpu, make);
  CHECK(cpu.loss_after < cpu.loss_before);
  for (Device device : {Device::simt, Device::cuda}) {
    if (!has_device(device)) continue;
    INFO(to_string(device));
    const Result other = step_on(device, make);
    CHECK(std::fabs(other.loss_before - cpu.loss_before) <= tolerance);
    CHECK(std::fabs(other.loss_after - cpu.loss_after) <= tolerance);
    CHECK(largest_difference(other.gradients, cpu.gradients) <= tolerance);
    CHECK(largest_difference(other.parameters, cpu.parameters) <= tolerance);
  }
}

}  // namespace

TEST_CASE("a step of Adam gives the same losses, gradients and parameters on every device") {
  compare_devices([](NamedParameters parameters) { return make_adam(std::move(parameters)); });
}

TEST_CASE("a step of SGD with momentum gives the same losses, gradients and parameters on every device") {
  compare_devices(
      [](NamedParameters parameters) { return make_sgd(std::move(parameters), {.momentum = 0.9}); });
}

TEST_CASE("every variant of every device tells of a label that is none of the classes") {
  const AnyOperation* operation = find_operation("cross_entropy");
  for (size_t i = 0; i < operation->variant_count(); ++i) {
    const VariantInfo& variant = operation->variant(i);
    if (!has_device(variant.device)) continue;
    INFO(to_string(variant.device) << " " << variant.name);
    force_variants(str("cross_entropy=", variant.name));
    const Tensor labels = Tensor::from(std::vector<int32_t>{0, 2}, {2}, variant.device);
    CHECK_THROWS_WITH(cross_entropy(wave({2, 2}, 0.37, variant.device), labels).item(),
                      "label 2 at row 1 is none of the 2 classes; labels count from 0");
  }
  clear_forced_variants();
}

TEST_CASE("an absent device is refused in one sentence") {
  if (has_device(Device::cuda)) SKIPPED("this machine has a cuda device");
  CHECK_THROWS_WITH(Tensor({1}, DType::f32, Device::cuda), Catch::Contains("; use --device cpu"));
}
