// What a benchmark worker can do: one class for each work, made from the work's input file.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/io/load.h"
#include "kernels/cpu/parallel.h"

namespace tenon {

using Results = std::vector<std::pair<std::string, Tensor>>;

class Work {
 public:
  virtual ~Work() = default;
  virtual void reset() {}  // before a run whose results are wanted, where runs build on each other
  virtual void run() = 0;  // what is timed
  virtual Results results() = 0;
  virtual int64_t tokens() const = 0;  // rows of the input, without padding
  virtual int threads() const { return thread_count(); }
};

// The worker's input file, on the device. Throws an Error that names the file and the missing tensor.
class WorkInput {
 public:
  WorkInput(const std::string& path, Device device) : file_(open_tensor_file(path)), device_(device) {}

  const TensorFile& file() const { return file_; }
  Device device() const { return device_; }
  bool has(std::string_view name) const { return file_.find(name) != nullptr; }
  Tensor floats(std::string_view name) const { return tensor_of(file_, entry(name)).to(device_); }
  std::vector<int32_t> integers(std::string_view name) const;
  std::vector<int64_t> lengths() const;                 // of the sequences in cu_seqlens
  std::vector<std::vector<int32_t>> sequences() const;  // input_ids, cut at cu_seqlens

 private:
  const TensorEntry& entry(std::string_view name) const;

  TensorFile file_;
  Device device_;
};

// Calls backward as if a loss of y had grad_output for its gradient, without the sum and the product that
// would make it one.
void backward_from(const Tensor& y, const Tensor& grad_output);

std::unique_ptr<Work> make_bert_work(WorkInput input, const std::string& model);
std::unique_ptr<Work> make_gru_work(WorkInput input);
std::unique_ptr<Work> make_epoch_work(WorkInput input, const std::string& model);
// layer_norm, gelu, attention, embedding or adamw; null for any other name.
std::unique_ptr<Work> make_operation_work(const std::string& name, WorkInput input);
std::unique_ptr<Work> make_tokenize_work(const std::string& input, const std::string& model);

}  // namespace tenon
