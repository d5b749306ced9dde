// The eager tape. An operation computes its outputs, then records them with its inputs and its vjp, a closure
// from the gradients of the outputs to those of the inputs, which stands in the same function as the forward.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace tenon {

// Gradients of the outputs in, gradients of the inputs out, in their order. An undefined tensor on either
// side means: no gradient. A vjp that needs an output of its own captures output.detach().
using Vjp = std::function<std::vector<Tensor>(const std::vector<Tensor>& output_grads)>;

struct Edge {
  std::shared_ptr<Node> node;          // what made the input, or
  std::shared_ptr<Tensor::Impl> leaf;  // the leaf itself, or neither: no gradient is wanted
  size_t output = 0;
};

struct Node {
  std::string_view name;
  uint64_t order = 0;  // of recording; backward walks it downwards
  size_t outputs = 1;
  int layer = 0;  // that a profile charges the backward to
  std::vector<Edge> inputs;
  Vjp vjp;

  ~Node();  // frees a long chain without recursion
};

// True if recording is on and any of the tensors needs a gradient.
bool needs_grad(std::initializer_list<Tensor> inputs);
bool needs_grad(const std::vector<Tensor>& inputs);

// Adds a node if an input needs a gradient, else returns the outputs as they are.
std::vector<Tensor> record(std::string_view name, std::vector<Tensor> outputs,
                           const std::vector<Tensor>& inputs, Vjp vjp);
Tensor record(std::string_view name, Tensor output, const std::vector<Tensor>& inputs,
              std::function<std::vector<Tensor>(const Tensor& dy)> vjp);
// For an operation without a gradient: throws, naming it, if one would be needed.
Tensor record_without_gradient(std::string_view name, Tensor output, const std::vector<Tensor>& inputs);

void backward(const Tensor& loss);

bool grad_enabled();

// While one of these lives, every operation's output is searched for NaN and infinity; the first that has one
// throws, naming the operation. Slow: for a second run of a step whose loss was not finite.
class FindNonFinite {
 public:
  FindNonFinite();
  ~FindNonFinite();
  FindNonFinite(const FindNonFinite&) = delete;
  FindNonFinite& operator=(const FindNonFinite&) = delete;
};
bool is_finite(const Tensor& tensor);  // all elements of a floating tensor

// Nothing is recorded while one of these lives.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

// NoGrad, and modules may rearrange their weights for speed (packed products).
bool inference_enabled();
class Inference {
 public:
  Inference();
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

 private:
  NoGrad no_grad_;
  bool before_;
};

}  // namespace tenon
