#include "tools/bench_worker.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/io/sha256.h"
#include "engine/precision.h"
#include "engine/train/checkpoint.h"
#include "kernels/base/select.h"
#include "kernels/base/stream.h"
#include "tools/bench_work.h"

namespace tenon {

std::vector<int32_t> WorkInput::integers(std::string_view name) const {
  const TensorView view = entry(name).view;
  check(view.dtype == DType::i32, file_.path(), ": ", name, " must be i32, not ", view.dtype);
  return {view.as<int32_t>(), view.as<int32_t>() + view.size()};
}

std::vector<int64_t> WorkInput::lengths() const {
  const std::vector<int32_t> offsets = integers("cu_seqlens");
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) lengths.push_back(offsets[i + 1] - offsets[i]);
  return lengths;
}

std::vector<std::vector<int32_t>> WorkInput::sequences() const {
  const std::vector<int32_t> all = integers("input_ids");
  std::vector<std::vector<int32_t>> ids;
  auto id = all.begin();
  for (int64_t length : lengths()) {
    check(length >= 0 && length <= all.end() - id, file_.path(),
          ": cu_seqlens goes past the end of input_ids");
    ids.emplace_back(id, id + length);
    id += length;
  }
  return ids;
}

const TensorEntry& WorkInput::entry(std::string_view name) const {
  const TensorEntry* entry = file_.find(name);
  check(entry != nullptr, file_.path(), " lacks the tensor ", name);
  return *entry;
}

void backward_from(const Tensor& y, const Tensor& grad_output) {
  record("prescribed gradient", Tensor::zeros({1}, DType::f32, y.device()), {y}, [&](const Tensor&) {
    return std::vector{grad_output};
  }).backward();
}

namespace {

std::unique_ptr<Work> make_work(const WorkerOptions& options, Device device) {
  check(!options.input.empty(), "--worker needs --input, the file of its work");
  const bool needs_model = options.what == "bert" || options.what == "epoch" || options.what == "tokenize";
  check(!needs_model || !options.model.empty(), "--worker ", options.what,
        " needs --model, a HuggingFace folder");
  if (options.what == "tokenize") return make_tokenize_work(options.input, options.model);
  WorkInput input(options.input, device);
  if (options.what == "bert") return make_bert_work(std::move(input), options.model);
  if (options.what == "epoch") return make_epoch_work(std::move(input), options.model);
  if (options.what == "gru") return make_gru_work(std::move(input));
  auto work = make_operation_work(options.what, std::move(input));
  check(work != nullptr, "--worker ", options.what,
        " is unknown; use bert, gru, epoch, tokenize, layer_norm, gelu, attention, embedding or adamw");
  return work;
}

void save(const Results& results, const std::string& path) {
  Results full;
  for (const auto& [name, tensor] : results)
    full.emplace_back(name, tensor.dtype() == DType::bf16 ? to_full_precision(tensor) : tensor);
  NamedParameters named;
  for (auto& [name, tensor] : full) named.emplace_back(name, &tensor);
  save_tensors(path, named);
}

void answer(const nlohmann::json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

}  // namespace

void serve_benchmark(const WorkerOptions& options, const ComputeOptions& compute) {
  set_precision(parse_precision(compute.dtype));
  const Device device = parse_device(compute.device);
  const auto work = make_work(options, device);
  work->run();
  Stream::current(device).synchronize();
  answer({{"side", "tenon"},
          {"threads", work->threads()},
          {"device", compute.device},
          {"dtype", compute.dtype},
          {"tokens", work->tokens()},
          {"input_sha256", sha256_of_file(options.input)},
          {"settings", {{"kernels", chosen_variants()}}}});
  for (std::string request; std::getline(std::cin, request);) {
    constexpr std::string_view output = "output ";
    const bool wanted = request.starts_with(output);
    check(wanted || request == "run", "a worker is asked 'run' or 'output PATH', not '", request, "'");
    if (wanted) work->reset();
    Stream::current(device).synchronize();
    const auto start = std::chrono::steady_clock::now();
    work->run();
    Stream::current(device).synchronize();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (wanted) save(work->results(), request.substr(output.size()));
    answer({{"seconds", seconds}});
  }
}

}  // namespace tenon
