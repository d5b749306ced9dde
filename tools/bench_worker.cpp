#include "tools/bench_worker.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>

#include "engine/autograd.h"
#include "engine/io/load.h"
#include "engine/nn/gru.h"
#include "engine/train/checkpoint.h"
#include "kernels/cpu/parallel.h"
#include "models/encoder.h"
#include "models/text/wordpiece.h"

namespace tenon {
namespace {

class Case {
 public:
  virtual ~Case() = default;
  virtual void work() = 0;
  virtual void save(const std::string& path) = 0;
  virtual int threads() const { return thread_count(); }
};

std::vector<int64_t> lengths_of(const TensorFile& file) {
  const TensorEntry* offsets = file.find("cu_seqlens");
  check(offsets != nullptr, file.path(), " lacks the tensor cu_seqlens");
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i + 1 < offsets->view.size(); ++i)
    lengths.push_back(offsets->view.as<int32_t>()[i + 1] - offsets->view.as<int32_t>()[i]);
  return lengths;
}

const TensorEntry& tensor_in(const TensorFile& file, std::string_view name) {
  const TensorEntry* entry = file.find(name);
  check(entry != nullptr, file.path(), " lacks the tensor ", name);
  return *entry;
}

// The encoder's forward.
class BertCase final : public Case {
 public:
  explicit BertCase(const WorkerOptions& options) : encoder_(load_encoder(options.model)) {
    const TensorFile file = open_tensor_file(options.input);
    const auto* id = tensor_in(file, "input_ids").view.as<int32_t>();
    std::vector<std::vector<int32_t>> ids;
    for (int64_t length : lengths_of(file)) {
      ids.emplace_back(id, id + length);
      id += length;
    }
    encoder_->set_training(false);
    batch_ = PackedBatch::of_ids(ids);
  }
  void work() override {
    const Inference inference;
    states_ = (*encoder_)(batch_);
  }
  void save(const std::string& path) override { save_tensors(path, {{"last_hidden_state", &states_}}); }

 private:
  std::unique_ptr<Encoder> encoder_;
  PackedBatch batch_;
  Tensor states_;
};

// torch.nn.GRU's forward, and the backward of a prescribed gradient of its output.
class GruCase final : public Case {
 public:
  explicit GruCase(const WorkerOptions& options) : file_(open_tensor_file(options.input)) {
    int layers = 0;
    while (file_.find(str("weight_ih_l", layers))) ++layers;
    const TensorView state = tensor_in(file_, "weight_hh_l0").view;
    const TensorView input = tensor_in(file_, "weight_ih_l0").view;
    const bool bidirectional = file_.find("weight_ih_l0_reverse") != nullptr;
    gru_ = std::make_unique<Gru>(input.shape[1], state.shape[1], layers, bidirectional, 0.0, "rnn");
    load_parameters(named_parameters(*gru_), file_);
    set_requires_grad(*gru_, true);
    batch_ = PackedBatch::of_lengths(lengths_of(file_));
    x_ = tensor_of(file_, tensor_in(file_, "x"));
    x_.set_requires_grad(true);
    grad_output_ = tensor_of(file_, tensor_in(file_, "grad_output"));
  }
  void work() override {
    x_.set_grad({});
    for (Tensor* parameter : trainable_parameters(*gru_)) parameter->set_grad({});
    const Tensor y = (*gru_)(x_, batch_).y;
    output_ = y.detach();
    // A loss whose gradient is grad_output, without the sum and the product that would make it one.
    record("prescribed gradient", Tensor::zeros({1}, DType::f32), {y}, [this](const Tensor&) {
      return std::vector{grad_output_};
    }).backward();
  }
  void save(const std::string& path) override {
    NamedParameters results{{"output", &output_}};
    std::vector<std::pair<std::string, Tensor>> gradients{{"grad.x", x_.grad()}};
    for (const auto& [name, parameter] : named_parameters(*gru_))
      gradients.emplace_back("grad." + name, parameter->grad());
    for (auto& [name, gradient] : gradients) results.emplace_back(name, &gradient);
    save_tensors(path, results);
  }

 private:
  TensorFile file_;
  std::unique_ptr<Gru> gru_;
  PackedBatch batch_;
  Tensor x_, grad_output_, output_;
};

// Token ids of every line of a text file, on one thread.
class TokenizeCase final : public Case {
 public:
  explicit TokenizeCase(const WorkerOptions& options)
      : text_(read_file(options.input)), pieces_(WordPiece::load(options.model)) {
    for (size_t begin = 0, end; begin < text_.size(); begin = end + 1) {
      end = std::min(text_.find('\n', begin), text_.size());
      lines_.push_back(std::string_view(text_).substr(begin, end - begin));
    }
  }
  void work() override {
    WordPiece::Cache cache;
    ids_.clear();
    for (std::string_view line : lines_) ids_.push_back(pieces_.encode(line, 0, &cache));
  }
  void save(const std::string& path) override {
    std::vector<int32_t> all, offsets{0};
    for (const auto& ids : ids_) {
      all.insert(all.end(), ids.begin(), ids.end());
      offsets.push_back(static_cast<int32_t>(all.size()));
    }
    Tensor input_ids = Tensor::from(all), cu_seqlens = Tensor::from(offsets);
    save_tensors(path, {{"input_ids", &input_ids}, {"cu_seqlens", &cu_seqlens}});
  }
  int threads() const override { return 1; }

 private:
  std::string text_;
  WordPiece pieces_;
  std::vector<std::string_view> lines_;
  std::vector<std::vector<int32_t>> ids_;
};

std::unique_ptr<Case> open_case(const WorkerOptions& options) {
  check(!options.input.empty(), "--worker needs --input, the file of its case");
  if (options.what == "gru") return std::make_unique<GruCase>(options);
  check(options.what == "bert" || options.what == "tokenize", "--worker ", options.what,
        " is unknown; use bert, gru or tokenize");
  check(!options.model.empty(), "--worker ", options.what, " needs --model, a HuggingFace folder");
  if (options.what == "bert") return std::make_unique<BertCase>(options);
  return std::make_unique<TokenizeCase>(options);
}

void answer(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

}  // namespace

void serve_benchmark(const WorkerOptions& options) {
  const auto chosen = open_case(options);
  chosen->work();
  answer(str("{\"side\": \"tenon\", \"threads\": ", chosen->threads(), "}"));
  for (std::string request; std::getline(std::cin, request);) {
    constexpr std::string_view output = "output ";
    check(request == "run" || request.starts_with(output), "a worker is asked 'run' or 'output PATH', not '",
          request, "'");
    const auto start = std::chrono::steady_clock::now();
    chosen->work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (request != "run") chosen->save(request.substr(output.size()));
    answer(str("{\"seconds\": ", seconds, "}"));
  }
}

}  // namespace tenon
