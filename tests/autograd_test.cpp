// The tape: what accumulates, what is recorded, when memory goes, and that nothing is lost in silence.
#include "engine/autograd.h"

#include "kernels/base/memory.h"
#include "tests/tensors.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

Tensor number(double value) { return leaf(Tensor::full({1}, DType::f64, value)); }

// The identity, which counts how often the walk comes by.
Tensor counted(const Tensor& x, int& visits) {
  return record("counted", x.clone(), {x}, [&visits](const Tensor& dy) -> std::vector<Tensor> {
    ++visits;
    return {dy.clone()};
  });
}

Tensor chain(const Tensor& x, int length) {
  Tensor y = x;
  for (int i = 0; i < length; ++i) y = scale(y, 1);
  return y;
}

size_t in_use() { return memory_stats(Device::cpu).in_use; }

}  // namespace

TEST_CASE("a tensor that is used twice gets the sum of both gradients") {
  const Tensor x = number(3);
  add(multiply(x, x), x).backward();
  CHECK(x.grad().item() == 7);
}

TEST_CASE("gradients of several losses accumulate in the leaves") {
  const Tensor x = number(3);
  scale(x, 2).backward();
  const Tensor first = x.grad();
  multiply(x, x).backward();
  CHECK(x.grad().item() == 8);
  CHECK(first.item() == 2);  // a gradient that someone holds does not change
}

TEST_CASE("a shared sub-graph is walked once, after all who use it") {
  const Tensor x = number(2);
  int visits = 0;
  const Tensor shared = counted(x, visits);
  Tensor y = multiply(shared, shared);
  y = add(multiply(y, shared), chain(shared, 5));  // x^3 + x
  y.backward();
  CHECK(visits == 1);
  CHECK(x.grad().item() == 13);
}

TEST_CASE("nothing is recorded under NoGrad or Inference, and recording comes back") {
  const Tensor x = number(2);
  {
    const NoGrad outer;
    { const NoGrad inner; }
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE(multiply(x, x).requires_grad());
  }
  {
    const Inference inference;
    CHECK(inference_enabled());
    CHECK_FALSE(multiply(x, x).requires_grad());
  }
  CHECK_FALSE(inference_enabled());
  CHECK(multiply(x, x).requires_grad());
  CHECK_FALSE(multiply(x, x).detach().requires_grad());
  CHECK_FALSE(multiply(x.detach(), x.detach()).requires_grad());
}

TEST_CASE("a chain of 200,000 operations does not overflow the stack, neither walked nor dropped") {
  const Tensor x = number(2);
  chain(x, 200'000).backward();
  CHECK(x.grad().item() == 1);
  chain(x, 200'000);
}

TEST_CASE("a second backward through a freed graph names the operation") {
  const Tensor x = number(2), y = multiply(x, x);
  y.backward();
  CHECK_THAT(message_of([&] { y.backward(); }), Contains("multiply a second time"));
  CHECK(x.grad().item() == 4);
}

TEST_CASE("an operation without a gradient throws by name where one is needed") {
  const auto round = [](const Tensor& x) { return record_without_gradient("round", x.clone(), {x}); };
  const Tensor x = number(2);
  CHECK_THAT(message_of([&] { round(x); }), Contains("round has no gradient"));
  CHECK_NOTHROW(round(x.detach()));
  const NoGrad no_grad;
  CHECK_NOTHROW(round(x));
}

TEST_CASE("backward starts from one number that a parameter leads to") {
  CHECK_THAT(message_of([] { backward(leaf(Tensor::zeros({2}, DType::f32))); }), Contains("shape (2)"));
  CHECK_THAT(message_of([] { backward(Tensor::zeros({1}, DType::f32)); }), Contains("no parameter"));
}

TEST_CASE("a vjp that loses a gradient, counts wrongly or changes a shape is named") {
  const Tensor x = number(2);
  const auto faulty = [&](std::vector<Tensor> grads) {
    return message_of(
        [&] { record("faulty", x.clone(), {x}, [grads](const Tensor&) { return grads; }).backward(); });
  };
  CHECK_THAT(faulty({Tensor()}), Contains("faulty lost the gradient of its input 0"));
  CHECK_THAT(faulty({}), Contains("faulty returned 0 gradients for 1 inputs"));
  CHECK_THAT(faulty({Tensor::zeros({2}, DType::f64)}), Contains("shape (2)"));
}

TEST_CASE("no two leaves share the memory of their gradients, so clipping in place is safe") {
  const Tensor a = leaf(random_tensor({4}, 1)), b = leaf(random_tensor({4}, 2)),
               c = leaf(random_tensor({4}, 3)), d = leaf(random_tensor({2, 2}, 4));
  sum(add(add(a, b), subtract(c, reshape(d, {4})))).backward();
  const std::vector<Tensor> grads{a.grad(), b.grad(), c.grad(), d.grad()};
  for (size_t i = 0; i < grads.size(); ++i)
    for (size_t j = 0; j < i; ++j) CHECK(grads[i].data() != grads[j].data());
  a.grad().zero();
  CHECK(b.grad().to_vector<double>() == std::vector<double>(4, 1));
}

TEST_CASE("the search for NaN names the first operation that makes one") {
  const Tensor x = number(1e200);
  const auto run = [&] { scale(multiply(scale(x, 2), scale(x, 3)), 4); };
  CHECK_NOTHROW(run());
  {
    const FindNonFinite search;
    CHECK_THAT(message_of(run), Contains("the output of multiply, of shape (1)"));
  }
  CHECK_NOTHROW(run());
  CHECK_FALSE(is_finite(Tensor::full({3}, DType::bf16, NAN)));
  CHECK_FALSE(is_finite(Tensor::full({3}, DType::f16, INFINITY)));
  CHECK(is_finite(Tensor::full({3}, DType::f32, 1e38)));
}

TEST_CASE("the walk frees the memory of what it has passed") {
  const Tensor x = leaf(random_tensor({1 << 16}, 1));
  const size_t before = in_use(), one = x.bytes();
  size_t at_the_end = 0;
  {
    Tensor y = record("probe", x.clone(), {x}, [&](const Tensor& dy) -> std::vector<Tensor> {
      at_the_end = in_use();
      return {dy.clone()};
    });
    for (int i = 0; i < 8; ++i) y = multiply(y, y);
    const Tensor loss = sum(y);
    y = {};
    CHECK(in_use() >= before + 8 * one);
    loss.backward();
  }
  CHECK(at_the_end <= before + 3 * one);
  CHECK(in_use() <= before + one + 4096);  // the gradient stays
}

TEST_CASE("a repeated training step asks the system for no memory") {
  const Tensor x = random_tensor({37, 24}, 1, DType::f32),
               weight = leaf(random_tensor({48, 24}, 2, DType::f32)),
               bias = leaf(random_tensor({48}, 3, DType::f32));
  const auto step = [&] {
    Tensor(weight).set_grad({});
    Tensor(bias).set_grad({});
    sum(softmax(linear(x, weight, bias, Activation::gelu))).backward();
  };
  step();
  step();
  const auto calls = memory_stats(Device::cpu).system_calls;
  const size_t bytes = in_use();
  for (int i = 0; i < 5; ++i) step();
  CHECK(memory_stats(Device::cpu).system_calls == calls);
  CHECK(in_use() == bytes);
}

TEST_CASE("a frozen weight gets no gradient, and what lies below it does") {
  const Tensor x = leaf(random_tensor({3, 4}, 1)), weight = random_tensor({2, 4}, 2);
  sum(linear(x, weight, {})).backward();
  CHECK(x.grad().defined());
  CHECK_FALSE(weight.grad().defined());
}

TEST_CASE("a gradient finds its way through a move between devices") {
  const Tensor x = leaf(random_tensor({3}, 1));
  const Tensor there = multiply(x, x).to(Device::simt);
  CHECK(there.device() == Device::simt);
  sum(there.to(Device::cpu)).backward();
  CHECK(error(x.grad(), scale(x.detach(), 2)) == 0);
}
