#include "models/ledger/isolated.h"

#include "engine/ops.h"
#include "engine/precision.h"

namespace tenon {
namespace {

// x · (1 + share), share at random up to unit_fp32.
Tensor changed(const Tensor& x, std::string_view name) {
  Tensor share(x.shape(), x.dtype());
  init_uniform(share, unit_fp32, 1, name);
  return add(x, multiply(x, share));
}

Tensor on_host(const LedgerModel& model, const std::string& parameter) {
  return model.parameter(parameter).detach().to(Device::cpu);
}

std::vector<Tensor> doubles(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> wide;
  for (const Tensor& tensor : tensors) wide.push_back(cast(tensor, DType::f64));
  return wide;
}

}  // namespace

Isolated::Isolated(const ModelOperation& operation, const LedgerModel& model, const Oracle& oracle,
                   const PackedBatch& batch, const std::map<std::string, Shape>& shapes)
    : operation_(operation), model_(model), batch_(batch) {
  for (const std::string& input : operation.inputs) inputs_.push_back(oracle.tensor(input, shapes.at(input)));
  for (const std::string& name : operation.parameters) parameters_.push_back(on_host(model, name));
}

Isolated::Results Isolated::ours() const {
  std::vector<Tensor> x, p;
  for (const Tensor& input : inputs_) x.push_back(input.to(model_.device).detach());
  for (const Tensor& one : parameters_) p.push_back(one.to(model_.device).detach());
  return evaluate(operation_.formula, x, p, batch_.to(model_.device), dy_);
}

Isolated::Results Isolated::exact(const Formula& formula) const {
  return evaluate(formula, doubles(inputs_), doubles(parameters_), batch_, dy_);
}

Isolated::Results Isolated::perturbed() const {
  std::vector<Tensor> x = doubles(inputs_), p = doubles(parameters_);
  for (size_t i = 0; i < x.size(); ++i) x[i] = changed(x[i], operation_.inputs[i]);
  for (size_t i = 0; i < p.size(); ++i) p[i] = changed(p[i], operation_.parameters[i]);
  return evaluate(operation_.formula, x, p, batch_,
                  dy_.defined() ? changed(cast(dy_, DType::f64), "dy") : dy_);
}

Isolated::Results Isolated::evaluate(const Formula& formula, std::vector<Tensor> x, std::vector<Tensor> p,
                                     const PackedBatch& batch, const Tensor& dy) const {
  Operands operands{
      {}, {}, batch, [this](const std::string& name) { return cast(on_host(model_, name), DType::f64); }};
  const auto as_used = [&](Tensor& leaf) {
    leaf.set_requires_grad(dy.defined());
    return operation_.full_precision ? leaf : to_activation_type(leaf);
  };
  for (Tensor& leaf : x) operands.x.push_back(as_used(leaf));
  for (Tensor& leaf : p) operands.p.push_back(as_used(leaf));
  Results results{formula(operands), {}};
  if (!results.y.defined() || !dy.defined() || !results.y.requires_grad()) return results;
  const Tensor y = to_full_precision(results.y);
  sum(multiply(y, cast(dy, y.dtype()).to(y.device()))).backward();
  const auto keep = [&](const std::string& name, const Tensor& leaf) {
    results.gradients[name] =
        leaf.grad().defined() ? values_of(leaf.grad()) : Values(static_cast<size_t>(leaf.size()));
  };
  for (size_t i = 0; i < x.size(); ++i) keep(operation_.inputs[i], x[i]);
  for (size_t i = 0; i < p.size(); ++i) keep(operation_.parameters[i], p[i]);
  return results;
}

}  // namespace tenon
