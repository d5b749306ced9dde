#include "models/ledger/chain.h"

#include <optional>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/precision.h"
#include "engine/watch.h"

namespace tenon {
namespace {

// What lies inside a fused kernel, or is no part of how the model is used.
void run_operation(const ModelOperation& operation, const LedgerModel& model, const PackedBatch& batch,
                   const Watch& watch) {
  Operands operands{{}, {}, batch, nullptr};
  for (const std::string& input : operation.inputs) {
    const Tensor& x = watch.values.at(input);
    operands.x.push_back(operation.full_precision ? to_full_precision(x) : x);
  }
  for (const std::string& name : operation.parameters) {
    const Tensor& p = model.parameter(name);
    operands.p.push_back(operation.full_precision ? p : to_activation_type(p));
  }
  watched(operation.name, "", operation.formula(operands));
}

void backward_of_loss(const LedgerModel& model, const Oracle& oracle, const Watch& watch) {
  Tensor loss;
  for (const ModelOperation& operation : model.operations) {
    const std::string name = "loss." + operation.name;
    if (!oracle.has(name)) continue;
    const Tensor value = to_full_precision(watch.values.at(operation.name));
    const Tensor part = sum(multiply(value, oracle.tensor(name, value.shape()).to(model.device)));
    loss = loss.defined() ? add(loss, part) : part;
  }
  loss.backward();
}

}  // namespace

Chain run_chain(LedgerModel& model, const Oracle& oracle, const PackedBatch& host_batch,
                bool with_gradients) {
  Watch watch;
  std::optional<Inference> inference;
  if (!with_gradients) inference.emplace();
  for (const auto& [name, parameter] : model.parameters) parameter->set_requires_grad(with_gradients);
  const PackedBatch batch = host_batch.to(model.device);
  model.run(batch);
  for (const ModelOperation& operation : model.operations)
    if (!watch.values.contains(operation.name)) run_operation(operation, model, batch, watch);
  Chain chain;
  for (const ModelOperation& operation : model.operations)
    chain.shapes[operation.name] = watch.values.at(operation.name).shape();
  if (with_gradients) backward_of_loss(model, oracle, watch);
  for (const auto& [name, value] : watch.values) chain.values[name] = values_of(value);
  for (const auto& [name, gradient] : watch.gradients) chain.values["grad." + name] = values_of(gradient);
  for (const auto& [name, parameter] : model.parameters) {
    if (parameter->grad().defined()) chain.values["grad." + name] = values_of(parameter->grad());
    *parameter = parameter->detach();
  }
  return chain;
}

}  // namespace tenon
