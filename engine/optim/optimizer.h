// Optimisers step all parameters in one launch. Their state saves under the parameters' names.
#pragma once
#include <memory>
#include <string>

#include "engine/nn/module.h"

namespace tenon {

class Optimizer {
 public:
  // The parameters that require a gradient, by name.
  explicit Optimizer(NamedParameters parameters);
  virtual ~Optimizer() = default;

  // One update from the .grad() of every parameter; a parameter without one is an error that names it.
  void step(double lr);
  void zero_grad();
  // Scales all gradients so that their common L2 norm is at most max_norm (torch.nn.utils.clip_grad_norm_).
  // Returns the norm before, on the device.
  Tensor clip_gradients(double max_norm);
  int64_t steps() const { return steps_; }

  // "exp_avg.rnn.weight_ih_l0" and so on: what a checkpoint holds and load() takes back.
  NamedParameters state();
  void set_steps(int64_t steps) { steps_ = steps; }

 protected:
  virtual void update(double lr) = 0;
  // One tensor of zeros like each parameter.
  std::vector<Tensor>& add_state(std::string_view name);
  std::vector<TensorView> parameter_views() const;
  std::vector<TensorView> gradient_views() const;
  Device device() const;

 private:
  struct State {
    std::string name;
    std::vector<Tensor> tensors;
  };
  NamedParameters parameters_;
  std::vector<std::unique_ptr<State>> states_;
  int64_t steps_ = 0;
};

// torch.optim.Adam, or AdamW where decoupled.
struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;
};
std::unique_ptr<Optimizer> make_adam(NamedParameters parameters, const AdamOptions& options = {});

// torch.optim.SGD.
struct SgdOptions {
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};
std::unique_ptr<Optimizer> make_sgd(NamedParameters parameters, const SgdOptions& options = {});

}  // namespace tenon
