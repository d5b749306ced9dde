// A Module is parameters and child modules under names: those of HuggingFace and PyTorch, so that a
// checkpoint loads without a mapping table. One function, visit, serves names, loading, saving, moving and
// freezing.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace tenon {

class Module;

class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void operator()(std::string_view name, Tensor& parameter) = 0;
  virtual void operator()(std::string_view name, Module& child) = 0;
};

class Module {
 public:
  virtual ~Module() = default;
  virtual void visit(Visitor& visitor) = 0;

  // In training, dropout is active.
  bool training() const { return training_; }
  void set_training(bool on);

 private:
  bool training_ = true;
};

using NamedParameters = std::vector<std::pair<std::string, Tensor*>>;

// In the order of visiting, names joined by dots: "encoder.layer.0.attention.self.query.weight".
NamedParameters named_parameters(Module& module, std::string_view prefix = "");
std::vector<Tensor*> trainable_parameters(Module& module);  // those that require a gradient
int64_t parameter_count(Module& module, bool trainable_only = false);
void set_requires_grad(Module& module, bool on);
void move_to(Module& module, Device device);
void convert_to(Module& module, DType dtype);  // for gradient checks in f64

// Draws like torch's: uniform in [-bound, bound], normal with standard deviation std. Philox, so the same for
// a seed on every machine; name makes the numbers of each parameter its own.
void init_uniform(Tensor& parameter, double bound, uint64_t seed, std::string_view name);
void init_normal(Tensor& parameter, double std, uint64_t seed, std::string_view name);

}  // namespace tenon
