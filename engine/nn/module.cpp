#include "engine/nn/module.h"

#include <cmath>
#include <functional>
#include <numbers>

#include "engine/ops.h"
#include "kernels/base/philox.h"

namespace tenon {
namespace {

class Names final : public Visitor {
 public:
  Names(NamedParameters& found, std::string prefix) : found_(found), prefix_(std::move(prefix)) {}
  void operator()(std::string_view name, Tensor& parameter) override {
    if (parameter.defined()) found_.emplace_back(prefix_ + std::string(name), &parameter);
  }
  void operator()(std::string_view name, Module& child) override {
    Names below(found_, str(prefix_, name, "."));
    child.visit(below);
  }

 private:
  NamedParameters& found_;
  std::string prefix_;
};

class Training final : public Visitor {
 public:
  explicit Training(bool on) : on_(on) {}
  void operator()(std::string_view, Tensor&) override {}
  void operator()(std::string_view, Module& child) override { child.set_training(on_); }

 private:
  bool on_;
};

// number(u32, u32) for each element, from a Philox stream of the parameter's own.
void fill(Tensor& parameter, uint64_t seed, std::string_view name,
          const std::function<double(uint32_t, uint32_t)>& number) {
  const RandomKey key{seed, 0, operation_key(name)};
  Tensor host(parameter.shape(), parameter.dtype());
  dispatch<float, double>(parameter.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < host.size(); ++i) {
      const auto index = static_cast<uint64_t>(i);
      static_cast<T*>(host.data())[i] = static_cast<T>(number(key(2 * index), key(2 * index + 1)));
    }
  });
  parameter.copy_from(host);
}

}  // namespace

void Module::set_training(bool on) {
  training_ = on;
  Training children(on);
  visit(children);
}

NamedParameters named_parameters(Module& module, std::string_view prefix) {
  NamedParameters found;
  Names names(found, std::string(prefix));
  module.visit(names);
  return found;
}

std::vector<Tensor*> trainable_parameters(Module& module) {
  std::vector<Tensor*> trainable;
  for (const auto& [name, parameter] : named_parameters(module))
    if (parameter->requires_grad()) trainable.push_back(parameter);
  return trainable;
}

int64_t parameter_count(Module& module, bool trainable_only) {
  int64_t count = 0;
  for (const auto& [name, parameter] : named_parameters(module))
    if (!trainable_only || parameter->requires_grad()) count += parameter->size();
  return count;
}

void set_requires_grad(Module& module, bool on) {
  for (const auto& [name, parameter] : named_parameters(module)) parameter->set_requires_grad(on);
}

void move_to(Module& module, Device device) {
  for (const auto& [name, parameter] : named_parameters(module)) *parameter = parameter->to(device);
}

void convert_to(Module& module, DType dtype) {
  for (const auto& [name, parameter] : named_parameters(module)) {
    const bool trainable = parameter->requires_grad();
    *parameter = cast(parameter->detach(), dtype);
    parameter->set_requires_grad(trainable);
  }
}

void init_uniform(Tensor& parameter, double bound, uint64_t seed, std::string_view name) {
  fill(parameter, seed, name, [bound](uint32_t high, uint32_t low) {
    return bound * (2 * ((high + (low + 0.5) * 0x1p-32) * 0x1p-32) - 1);
  });
}

void init_normal(Tensor& parameter, double std, uint64_t seed, std::string_view name) {
  fill(parameter, seed, name, [std](uint32_t a, uint32_t b) {  // Box and Muller
    const double radius = std::sqrt(-2 * std::log((a + 0.5) * 0x1p-32));
    return std * radius * std::cos(2 * std::numbers::pi * ((b + 0.5) * 0x1p-32));
  });
}

}  // namespace tenon
