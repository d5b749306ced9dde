#include "engine/autograd.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <unordered_map>

#include "engine/ops.h"
#include "kernels/base/profile.h"

namespace tenon {
namespace {

thread_local bool recording = true;
thread_local bool inferring = false;
thread_local bool finding_non_finite = false;
thread_local uint64_t next_order = 0;

Edge edge_to(const Tensor& input) {
  if (!input.defined()) return {};
  const auto& impl = input.handle();
  if (impl->node) return {impl->node, nullptr, impl->output};
  if (impl->requires_grad) return {nullptr, impl, 0};
  return {};
}

// The first gradient is taken as it is, unless someone else holds it or its memory: clipping changes a leaf's
// in place.
void accumulate_into_leaf(Tensor::Impl& leaf, Tensor grad) {
  check(grad.shape() == leaf.shape, "a gradient of shape ", grad.shape(), " came back for a tensor of shape ",
        leaf.shape);
  if (leaf.grad.defined())
    leaf.grad = add(leaf.grad, grad);
  else
    leaf.grad = grad.handle().use_count() > 1 || grad.storage().use_count() > 1 ? grad.clone() : grad;
}

struct Later {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const {
    return a->order < b->order;
  }
};

// Nodes whose gradients are not complete yet, the latest recorded first.
class Agenda {
 public:
  void add_gradient(const std::shared_ptr<Node>& node, size_t output, Tensor grad) {
    auto [found, fresh] = grads_.try_emplace(node.get(), node->outputs);
    if (fresh) heap_.push(node);
    Tensor& slot = found->second[output];
    slot = slot.defined() ? add(slot, grad) : std::move(grad);
  }
  bool empty() const { return heap_.empty(); }
  std::pair<std::shared_ptr<Node>, std::vector<Tensor>> pop() {
    std::shared_ptr<Node> node = heap_.top();
    heap_.pop();
    std::vector<Tensor> grads = std::move(grads_.extract(node.get()).mapped());
    return {std::move(node), std::move(grads)};
  }

 private:
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Later> heap_;
  std::unordered_map<Node*, std::vector<Tensor>> grads_;
};

void visit(Node& node, const std::vector<Tensor>& grads, Agenda& agenda) {
  check(node.vjp != nullptr, "backward() came to ", node.name, " a second time; its graph has been freed");
  const LayerScope layer(node.layer);
  std::vector<Tensor> input_grads = node.vjp(grads);
  check(input_grads.size() == node.inputs.size(), "the vjp of ", node.name, " returned ", input_grads.size(),
        " gradients for ", node.inputs.size(), " inputs");
  node.vjp = nullptr;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    Edge& edge = node.inputs[i];
    if (!edge.node && !edge.leaf) continue;
    Tensor grad = std::move(input_grads[i]);
    check(grad.defined(), "the vjp of ", node.name, " lost the gradient of its input ", i);
    if (edge.node)
      agenda.add_gradient(edge.node, edge.output, std::move(grad));
    else
      accumulate_into_leaf(*edge.leaf, std::move(grad));
  }
  node.inputs.clear();
}

}  // namespace

Node::~Node() {
  thread_local std::vector<std::shared_ptr<Node>>* waiting = nullptr;
  std::vector<std::shared_ptr<Node>> own;
  const bool outermost = waiting == nullptr;
  if (outermost) waiting = &own;
  for (Edge& edge : inputs)
    if (edge.node) waiting->push_back(std::move(edge.node));
  if (!outermost) return;
  while (!own.empty()) {
    const std::shared_ptr<Node> last = std::move(own.back());
    own.pop_back();
  }
  waiting = nullptr;
}

bool needs_grad(const std::vector<Tensor>& inputs) {
  return recording &&
         std::any_of(inputs.begin(), inputs.end(), [](const Tensor& input) { return input.requires_grad(); });
}

bool needs_grad(std::initializer_list<Tensor> inputs) { return needs_grad(std::vector<Tensor>(inputs)); }

std::vector<Tensor> record(std::string_view name, std::vector<Tensor> outputs,
                           const std::vector<Tensor>& inputs, Vjp vjp) {
  if (finding_non_finite)
    for (const Tensor& output : outputs)
      check(!output.defined() || is_finite(output), "the output of ", name, ", of shape ", output.shape(),
            ", is the first tensor that is not finite");
  if (!needs_grad(inputs)) return outputs;
  auto node = std::make_shared<Node>();
  node->name = name;
  node->order = ++next_order;
  node->outputs = outputs.size();
  node->layer = profiling() ? current_layer() : 0;
  for (const Tensor& input : inputs) node->inputs.push_back(edge_to(input));
  node->vjp = std::move(vjp);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) continue;
    outputs[i].handle()->node = node;
    outputs[i].handle()->output = i;
  }
  return outputs;
}

Tensor record(std::string_view name, Tensor output, const std::vector<Tensor>& inputs,
              std::function<std::vector<Tensor>(const Tensor& dy)> vjp) {
  return record(name, std::vector<Tensor>{std::move(output)}, inputs,
                [vjp = std::move(vjp)](const std::vector<Tensor>& grads) { return vjp(grads[0]); })[0];
}

Tensor record_without_gradient(std::string_view name, Tensor output, const std::vector<Tensor>& inputs) {
  check(!needs_grad(inputs), name,
        " has no gradient, but one is needed here; use it under NoGrad or on detached tensors");
  return output;
}

void backward(const Tensor& loss) {
  check(loss.size() == 1, "backward() starts from one number, not from a tensor of shape ", loss.shape());
  check(loss.requires_grad(), "backward() was called on a tensor that no parameter leads to");
  const Section section("backward");
  const NoGrad guard;
  Tensor one = Tensor::full(loss.shape(), loss.dtype(), 1, loss.device());
  Agenda agenda;
  if (!loss.handle()->node) return accumulate_into_leaf(*loss.handle(), one);
  agenda.add_gradient(loss.handle()->node, loss.handle()->output, std::move(one));
  while (!agenda.empty()) {
    auto [node, grads] = agenda.pop();
    visit(*node, grads, agenda);
  }
}

FindNonFinite::FindNonFinite() { finding_non_finite = true; }
FindNonFinite::~FindNonFinite() { finding_non_finite = false; }

bool is_finite(const Tensor& tensor) {
  bool finite = true;
  dispatch<float, double, bf16, f16>(tensor.dtype(), [&]<class T>() {
    for (const T& value : tensor.to_vector<T>()) {
      if constexpr (std::is_same_v<T, double>)
        finite &= std::isfinite(value);
      else
        finite &= std::isfinite(static_cast<float>(value));
    }
  });
  return finite;
}

bool grad_enabled() { return recording; }
NoGrad::NoGrad() : before_(recording) { recording = false; }
NoGrad::~NoGrad() { recording = before_; }

bool inference_enabled() { return inferring; }
Inference::Inference() : before_(inferring) { inferring = true; }
Inference::~Inference() { inferring = before_; }

}  // namespace tenon
