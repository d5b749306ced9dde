// The works of whole models: an encoder's forward, a GRU's forward and backward, an epoch of the sentiment
// model, and the tokenizer.
#include <algorithm>

#include "engine/autograd.h"
#include "engine/io/file.h"
#include "engine/nn/gru.h"
#include "engine/ops.h"
#include "engine/optim/optimizer.h"
#include "models/sentiment/sentiment.h"
#include "models/text/wordpiece.h"
#include "tools/bench_work.h"

namespace tenon {
namespace {

class BertWork final : public Work {
 public:
  BertWork(const WorkInput& input, const std::string& model) : encoder_(load_encoder(model)) {
    encoder_->set_training(false);
    move_to(*encoder_, input.device());
    batch_ = PackedBatch::of_ids(input.sequences()).to(input.device());
  }
  void run() override {
    const Inference inference;
    states_ = (*encoder_)(batch_);
  }
  Results results() override { return {{"last_hidden_state", states_}}; }
  int64_t tokens() const override { return batch_.tokens; }

 private:
  std::unique_ptr<Encoder> encoder_;
  PackedBatch batch_;
  Tensor states_;
};

// torch.nn.GRU's forward, and the backward of a prescribed gradient of its output.
class GruWork final : public Work {
 public:
  explicit GruWork(WorkInput input) : input_(std::move(input)) {
    int layers = 0;
    while (input_.has(str("weight_ih_l", layers))) ++layers;
    const Tensor x_weight = input_.floats("weight_ih_l0"), state_weight = input_.floats("weight_hh_l0");
    gru_ = std::make_unique<Gru>(x_weight.size(1), state_weight.size(1), layers,
                                 input_.has("weight_ih_l0_reverse"), 0.0, "rnn");
    load_parameters(named_parameters(*gru_), input_.file());
    move_to(*gru_, input_.device());
    set_requires_grad(*gru_, true);
    batch_ = PackedBatch::of_lengths(input_.lengths()).to(input_.device());
    x_ = input_.floats("x");
    x_.set_requires_grad(true);
    grad_output_ = input_.floats("grad_output");
  }
  void run() override {
    x_.set_grad({});
    for (Tensor* parameter : trainable_parameters(*gru_)) parameter->set_grad({});
    const Tensor y = (*gru_)(x_, batch_).y;
    output_ = y.detach();
    if (grad_output_.dtype() != y.dtype()) grad_output_ = cast(grad_output_, y.dtype());
    backward_from(y, grad_output_);
  }
  Results results() override {
    Results all{{"output", output_}, {"grad.x", x_.grad()}};
    for (const auto& [name, parameter] : named_parameters(*gru_))
      all.emplace_back("grad." + name, parameter->grad());
    return all;
  }
  int64_t tokens() const override { return batch_.tokens; }

 private:
  WorkInput input_;
  std::unique_ptr<Gru> gru_;
  PackedBatch batch_;
  Tensor x_, grad_output_, output_;
};

// An epoch of the published head over a frozen encoder that runs in every step: given batches, given first
// weights, no dropout, Adam with a learning rate of 1e-3. So every side must find the same losses.
class EpochWork final : public Work {
 public:
  EpochWork(WorkInput input, const std::string& model)
      : input_(std::move(input)), model_(load_encoder(model), {.dropout = 0}) {
    model_.set_training(false);
    move_to(model_, input_.device());
    set_requires_grad(model_, false);
    for (auto& [name, parameter] : named_parameters(model_))
      if (!name.starts_with("bert.")) head_.emplace_back(name, parameter);
    for (auto& [name, parameter] : head_) parameter->set_requires_grad(true);
    const auto sequences = input_.sequences();
    const Tensor labels = input_.floats("labels");
    const std::vector<int32_t> order = input_.integers("order");
    const auto size = static_cast<size_t>(input_.integers("batch_size").at(0));
    check(order.size() == sequences.size() && labels.size() == static_cast<int64_t>(order.size()) && size > 0,
          input_.file().path(), ": order, labels and cu_seqlens speak of different numbers of reviews");
    const auto all_labels = labels.to_vector<float>();
    for (size_t begin = 0; begin < order.size(); begin += size) {
      std::vector<std::vector<int32_t>> ids;
      std::vector<float> chosen;
      for (size_t i = begin; i < std::min(begin + size, order.size()); ++i) {
        ids.push_back(sequences.at(static_cast<size_t>(order[i])));
        chosen.push_back(all_labels[static_cast<size_t>(order[i])]);
      }
      batches_.push_back(PackedBatch::of_ids(ids).to(input_.device()));
      labels_.push_back(Tensor::from(chosen, input_.device()));
    }
  }
  void run() override {
    load_parameters_of_head();
    const auto optimizer = make_adam(head_);
    losses_.clear();
    for (size_t i = 0; i < batches_.size(); ++i) {
      Tensor features;
      {
        const Inference inference;
        features = model_.encoder()(batches_[i]);
      }
      optimizer->zero_grad();
      const Tensor loss = bce_with_logits(model_.head(features, batches_[i]), labels_[i]);
      loss.backward();
      optimizer->step(1e-3);
      losses_.push_back(loss.detach());
    }
  }
  Results results() override {
    std::vector<float> losses;
    for (const Tensor& loss : losses_) losses.push_back(static_cast<float>(loss.item()));
    return {{"losses", Tensor::from(losses)}};
  }
  int64_t tokens() const override {
    int64_t tokens = 0;
    for (const PackedBatch& batch : batches_) tokens += batch.tokens;
    return tokens;
  }

 private:
  void load_parameters_of_head() {
    for (auto& [name, parameter] : head_) {
      parameter->set_grad({});
      parameter->copy_from(input_.floats(name));
    }
  }

  WorkInput input_;
  SentimentModel model_;
  NamedParameters head_;
  std::vector<PackedBatch> batches_;
  std::vector<Tensor> labels_, losses_;
};

// Token ids of every line of a text file, on one thread.
class TokenizeWork final : public Work {
 public:
  TokenizeWork(const std::string& input, const std::string& model)
      : text_(read_file(input)), pieces_(WordPiece::load(model)) {
    for (size_t begin = 0, end; begin < text_.size(); begin = end + 1) {
      end = std::min(text_.find('\n', begin), text_.size());
      lines_.push_back(std::string_view(text_).substr(begin, end - begin));
    }
  }
  void run() override {
    WordPiece::Cache cache;
    ids_.clear();
    for (std::string_view line : lines_) ids_.push_back(pieces_.encode(line, 0, &cache));
  }
  Results results() override {
    std::vector<int32_t> all, offsets{0};
    for (const auto& ids : ids_) {
      all.insert(all.end(), ids.begin(), ids.end());
      offsets.push_back(static_cast<int32_t>(all.size()));
    }
    return {{"input_ids", Tensor::from(all)}, {"cu_seqlens", Tensor::from(offsets)}};
  }
  int64_t tokens() const override {
    int64_t tokens = 0;
    for (const auto& ids : ids_) tokens += static_cast<int64_t>(ids.size());
    return tokens;
  }
  int threads() const override { return 1; }

 private:
  std::string text_;
  WordPiece pieces_;
  std::vector<std::string_view> lines_;
  std::vector<std::vector<int32_t>> ids_;
};

}  // namespace

std::unique_ptr<Work> make_bert_work(WorkInput input, const std::string& model) {
  return std::make_unique<BertWork>(input, model);
}
std::unique_ptr<Work> make_gru_work(WorkInput input) { return std::make_unique<GruWork>(std::move(input)); }
std::unique_ptr<Work> make_epoch_work(WorkInput input, const std::string& model) {
  return std::make_unique<EpochWork>(std::move(input), model);
}
std::unique_ptr<Work> make_tokenize_work(const std::string& input, const std::string& model) {
  return std::make_unique<TokenizeWork>(input, model);
}

}  // namespace tenon
