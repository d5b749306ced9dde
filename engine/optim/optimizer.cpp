#include "engine/optim/optimizer.h"

#include "kernels/adam/adam.h"
#include "kernels/base/select.h"
#include "kernels/clip_grad/clip_grad.h"
#include "kernels/grad_norm/grad_norm.h"
#include "kernels/sgd/sgd.h"

namespace tenon {
namespace {

std::vector<TensorView> views(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> all;
  for (const Tensor& tensor : tensors) all.push_back(tensor.view());
  return all;
}

class AdamOptimizer final : public Optimizer {
 public:
  AdamOptimizer(NamedParameters parameters, const AdamOptions& options)
      : Optimizer(std::move(parameters)),
        options_(options),
        exp_avg_(add_state("exp_avg")),
        exp_avg_sq_(add_state("exp_avg_sq")) {}

 protected:
  void update(double lr) override {
    run<Adam>({.params = parameter_views(),
               .grads = gradient_views(),
               .exp_avg = views(exp_avg_),
               .exp_avg_sq = views(exp_avg_sq_),
               .lr = lr,
               .beta1 = options_.beta1,
               .beta2 = options_.beta2,
               .eps = options_.eps,
               .weight_decay = options_.weight_decay,
               .decoupled = options_.decoupled,
               .step = steps() + 1},
              Stream::current(device()));
  }

 private:
  AdamOptions options_;
  std::vector<Tensor>&exp_avg_, &exp_avg_sq_;
};

class SgdOptimizer final : public Optimizer {
 public:
  SgdOptimizer(NamedParameters parameters, const SgdOptions& options)
      : Optimizer(std::move(parameters)),
        options_(options),
        buffers_(options.momentum != 0 ? &add_state("momentum_buffer") : nullptr) {}

 protected:
  void update(double lr) override {
    run<Sgd>({.params = parameter_views(),
              .grads = gradient_views(),
              .momentum_buffers = buffers_ ? views(*buffers_) : std::vector<TensorView>(),
              .lr = lr,
              .momentum = options_.momentum,
              .weight_decay = options_.weight_decay,
              .dampening = options_.dampening,
              .nesterov = options_.nesterov,
              .first_step = steps() == 0},
             Stream::current(device()));
  }

 private:
  SgdOptions options_;
  std::vector<Tensor>* buffers_;
};

}  // namespace

Optimizer::Optimizer(NamedParameters parameters) {
  for (auto& named : parameters)
    if (named.second->requires_grad()) parameters_.push_back(std::move(named));
  check(!parameters_.empty(), "there is nothing to train: every parameter is frozen");
}

void Optimizer::step(double lr) {
  for (const auto& [name, parameter] : parameters_)
    check(parameter->grad().defined(), "parameter ", name, " has no gradient; was backward() called?");
  update(lr);
  ++steps_;
}

void Optimizer::zero_grad() {
  for (const auto& [name, parameter] : parameters_) parameter->set_grad({});
}

Tensor Optimizer::clip_gradients(double max_norm) {
  const DType dtype = parameters_[0].second->dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor norm({1}, dtype, device());
  run<GradNorm>({.grads = gradient_views(), .norm = norm.view()}, Stream::current(device()));
  run<ScaleTensors>({.grads = gradient_views(), .norm = norm.view(), .max_norm = max_norm},
                    Stream::current(device()));
  return norm;
}

NamedParameters Optimizer::state() {
  NamedParameters all;
  for (const auto& state : states_)
    for (size_t i = 0; i < parameters_.size(); ++i)
      all.emplace_back(str(state->name, ".", parameters_[i].first), &state->tensors[i]);
  return all;
}

std::vector<Tensor>& Optimizer::add_state(std::string_view name) {
  auto state = std::make_unique<State>();
  state->name = name;
  for (const auto& [parameter_name, parameter] : parameters_)
    state->tensors.push_back(Tensor::zeros(parameter->shape(), parameter->dtype(), parameter->device()));
  states_.push_back(std::move(state));
  return states_.back()->tensors;
}

std::vector<TensorView> Optimizer::parameter_views() const {
  std::vector<TensorView> all;
  for (const auto& [name, parameter] : parameters_) all.push_back(parameter->view());
  return all;
}

std::vector<TensorView> Optimizer::gradient_views() const {
  std::vector<TensorView> all;
  for (const auto& [name, parameter] : parameters_) all.push_back(parameter->grad().view());
  return all;
}

Device Optimizer::device() const { return parameters_[0].second->device(); }

std::unique_ptr<Optimizer> make_adam(NamedParameters parameters, const AdamOptions& options) {
  return std::make_unique<AdamOptimizer>(std::move(parameters), options);
}

std::unique_ptr<Optimizer> make_sgd(NamedParameters parameters, const SgdOptions& options) {
  return std::make_unique<SgdOptimizer>(std::move(parameters), options);
}

}  // namespace tenon
