// Adam, AdamW and SGD against torch.optim on prescribed gradients, step by step, and clipping against
// torch.nn.utils.clip_grad_norm_.
#include "kernels/adam/adam.h"
#include "kernels/clip_grad/clip_grad.h"
#include "kernels/grad_norm/grad_norm.h"
#include "kernels/sgd/sgd.h"
#include "tests/golden.h"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t steps = 10;

// Step k of (steps, ...).
TensorView at_step(TensorView view, int64_t k) {
  TensorView part(nullptr, view.dtype, {view.size() / steps});
  part.data = view.as<char>() + static_cast<size_t>(k) * part.bytes();
  return part;
}

template <class Args>
void put_gradients(Args& a, Arena& arena, const TensorFile& file, int64_t k, DType dtype) {
  a.grads = {arena.copy(at_step(golden(file, "grad_weight"), k), dtype),
             arena.copy(at_step(golden(file, "grad_bias"), k), dtype)};
}

template <class Args>
void compare(const Args& a, const TensorFile& file, const std::string& name, int64_t k, DType dtype) {
  INFO(name << ", step " << k);
  CHECK(error(a.params[0], at_step(golden(file, name + ".f64.weight"), k)) <= parity(dtype));
  CHECK(error(a.params[1], at_step(golden(file, name + ".f64.bias"), k)) <= parity(dtype));
}

template <Operation Op>
void check_optimiser(const std::string& name, const typename Op::Args& settings) {
  const TensorFile file = golden_file("optimisers");
  for (DType dtype : {DType::f64, DType::f32})
    for_each_variant<Op>(dtype, [&](const Variant<Op>& variant) {
      Arena arena;
      typename Op::Args a = settings;
      const TensorView weight = golden(file, "weight"), bias = golden(file, "bias");
      a.params = {arena.copy(weight, dtype), arena.copy(bias, dtype)};
      const auto state = [&] { return std::vector{arena.zeros(weight, dtype), arena.zeros(bias, dtype)}; };
      if constexpr (std::is_same_v<Op, Adam>)
        a.exp_avg = state(), a.exp_avg_sq = state();
      else if (a.momentum != 0)
        a.momentum_buffers = state();
      for (int64_t k = 0; k < steps; ++k) {
        put_gradients(a, arena, file, k, dtype);
        if constexpr (std::is_same_v<Op, Adam>)
          a.step = k + 1;
        else
          a.first_step = k == 0;
        variant.run(a, Stream::current(Device::cpu));
        compare(a, file, name, k, dtype);
      }
    });
}

}  // namespace

TEST_CASE("Adam equals torch.optim.Adam after each of ten steps") {
  Adam::Args a;
  check_optimiser<Adam>("adam", a);
  a.weight_decay = 0.1;
  check_optimiser<Adam>("adam_l2", a);
}

TEST_CASE("AdamW equals torch.optim.AdamW after each of ten steps") {
  Adam::Args a;
  a.decoupled = true;
  a.weight_decay = 0.1;
  check_optimiser<Adam>("adamw", a);
  a.lr = 3e-2, a.beta1 = 0.8, a.beta2 = 0.95, a.eps = 1e-4, a.weight_decay = 0.01;
  check_optimiser<Adam>("adamw_betas", a);
}

TEST_CASE("SGD equals torch.optim.SGD after each of ten steps") {
  Sgd::Args a;
  a.lr = 1e-2;
  check_optimiser<Sgd>("sgd", a);
  a.momentum = 0.9, a.weight_decay = 0.01;
  check_optimiser<Sgd>("sgd_momentum", a);
}

TEST_CASE("clipping equals torch.nn.utils.clip_grad_norm_") {
  const TensorFile file = golden_file("gradient_clipping");
  for (DType dtype : {DType::f64, DType::f32})
    for_each_variant<GradNorm>(dtype, [&](const Variant<GradNorm>& norm) {
      for_each_variant<ScaleTensors>(dtype, [&](const Variant<ScaleTensors>& clip) {
        for (int max_norm : {1, 100}) {
          Arena arena;
          GradNorm::Args n;
          n.grads = {arena.copy(golden(file, "weight"), dtype), arena.copy(golden(file, "bias"), dtype)};
          n.norm = arena.zeros({nullptr, dtype, {1}}, dtype);
          norm.run(n, Stream::current(Device::cpu));
          CHECK(error(n.norm, golden(file, "f64.norm")) <= parity(dtype));
          clip.run({.grads = n.grads, .norm = n.norm, .max_norm = double(max_norm)},
                   Stream::current(Device::cpu));
          const std::string name = str("f64.max_norm_", max_norm);
          CHECK(error(n.grads[0], golden(file, name + ".weight")) <= parity(dtype));
          CHECK(error(n.grads[1], golden(file, name + ".bias")) <= parity(dtype));
        }
      });
    });
}

TEST_CASE("a norm that is not finite makes the clipped gradients NaN") {
  Arena arena;
  const TensorView norm = arena.zeros({nullptr, DType::f32, {1}}, DType::f32);
  *norm.as<float>() = NAN;
  for_each_variant<ScaleTensors>(DType::f32, [&](const Variant<ScaleTensors>& clip) {
    const TensorView grad = arena.zeros({nullptr, DType::f32, {3}}, DType::f32);
    clip.run({.grads = {grad}, .norm = norm, .max_norm = 1}, Stream::current(Device::cpu));
    CHECK(std::isnan(grad.as<float>()[2]));
  });
}
