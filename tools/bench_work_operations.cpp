// The works of single operations, as a model meets them: through the tape, forward alone or, if the input has
// a grad_output, forward and backward. Their tensors stand in the file in fp32 and are rounded to the
// precision.
#include <functional>

#include "engine/autograd.h"
#include "engine/nn/packed_batch.h"
#include "engine/ops.h"
#include "engine/optim/optimizer.h"
#include "engine/precision.h"
#include "tools/bench_work.h"

namespace tenon {
namespace {

constexpr double layer_norm_eps = 1e-12;
constexpr int64_t head_size = 64;

class OperationWork final : public Work {
 public:
  // forward: what is done with the tensors of these names.
  OperationWork(const WorkInput& input, std::vector<std::string> names, int64_t tokens,
                std::function<Tensor(const std::vector<Tensor>&)> forward)
      : names_(std::move(names)), tokens_(tokens), forward_(std::move(forward)) {
    for (const std::string& name : names_) leaves_.push_back(to_activation_type(input.floats(name)).detach());
    if (!input.has("grad_output")) return;
    grad_output_ = to_activation_type(input.floats("grad_output"));
    for (Tensor& leaf : leaves_) leaf.set_requires_grad(true);
  }
  void run() override {
    for (Tensor& leaf : leaves_) leaf.set_grad({});
    const Tensor y = forward_(leaves_);
    if (grad_output_.defined()) backward_from(y, grad_output_);
    output_ = y.detach();
  }
  Results results() override {
    Results all{{"output", output_}};
    if (grad_output_.defined())
      for (size_t i = 0; i < leaves_.size(); ++i) all.emplace_back("grad." + names_[i], leaves_[i].grad());
    return all;
  }
  int64_t tokens() const override { return tokens_; }

 private:
  std::vector<std::string> names_;
  int64_t tokens_;
  std::function<Tensor(const std::vector<Tensor>&)> forward_;
  std::vector<Tensor> leaves_;
  Tensor grad_output_, output_;
};

// One step of AdamW for all parameters. Two sets of gradients take turns, since with one and the same Adam
// does no more than look at its sign.
class AdamWork final : public Work {
 public:
  explicit AdamWork(WorkInput input) : input_(std::move(input)) {
    for (int i = 0; input_.has(str("parameter.", i)); ++i) {
      first_.push_back(input_.floats(str("parameter.", i)));
      parameters_.push_back(first_.back().clone());
      for (int set : {0, 1}) grads_[set].push_back(input_.floats(str("grad.", set, ".", i)));
    }
    reset();
  }
  void reset() override {
    NamedParameters named;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].copy_from(first_[i]);
      parameters_[i].set_requires_grad(true);
      named.emplace_back(str("parameter.", i), &parameters_[i]);
    }
    optimizer_ = make_adam(named, {.weight_decay = 0.01, .decoupled = true});
    run();
  }
  void run() override {
    const auto& grads = grads_[optimizer_->steps() % 2];
    for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].set_grad(grads[i]);
    optimizer_->step(1e-3);
  }
  Results results() override {
    Results all;
    for (size_t i = 0; i < parameters_.size(); ++i)
      all.emplace_back(str("parameter.", i), parameters_[i].detach());
    return all;
  }
  int64_t tokens() const override {
    int64_t elements = 0;
    for (const Tensor& parameter : parameters_) elements += parameter.size();
    return elements;
  }

 private:
  WorkInput input_;
  std::vector<Tensor> first_, parameters_;
  std::vector<Tensor> grads_[2];
  std::unique_ptr<Optimizer> optimizer_;
};

std::unique_ptr<Work> make_attention(const WorkInput& input) {
  const auto batch = PackedBatch::of_lengths(input.lengths()).to(input.device());
  return std::make_unique<OperationWork>(
      input, std::vector<std::string>{"q", "k", "v"}, batch.tokens, [batch](const std::vector<Tensor>& t) {
        const int heads = static_cast<int>(t[0].size(1) / head_size);
        return attention(t[0], t[1], t[2], batch.cu_seqlens, heads, batch.max_seqlen, 0.125);
      });
}

std::unique_ptr<Work> make_embedding(const WorkInput& input) {
  const auto batch = PackedBatch::of_ids(input.sequences()).to(input.device());
  return std::make_unique<OperationWork>(
      input, std::vector<std::string>{"word", "position", "token_type", "weight", "bias"}, batch.tokens,
      [batch](const std::vector<Tensor>& t) {
        return embedding(batch.input_ids, batch.positions, {}, t[0], t[1], t[2], t[3], t[4], layer_norm_eps);
      });
}

}  // namespace

std::unique_ptr<Work> make_operation_work(const std::string& name, WorkInput input) {
  if (name == "adamw") return std::make_unique<AdamWork>(std::move(input));
  if (name == "attention") return make_attention(input);
  if (name == "embedding") return make_embedding(input);
  if (name != "layer_norm" && name != "gelu") return nullptr;
  const int64_t rows = input.floats("x").size(0);
  if (name == "gelu")
    return std::make_unique<OperationWork>(input, std::vector<std::string>{"x"}, rows,
                                           [](const std::vector<Tensor>& t) { return gelu(t[0]); });
  return std::make_unique<OperationWork>(
      input, std::vector<std::string>{"x", "weight", "bias"}, rows,
      [](const std::vector<Tensor>& t) { return layer_norm(t[0], t[1], t[2], layer_norm_eps); });
}

}  // namespace tenon
