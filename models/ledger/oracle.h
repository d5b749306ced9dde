// What tools/baseline/dump_encoder.py wrote: one run of a PyTorch model, each operation's output and the
// gradient of a scalar loss with respect to it and to each parameter. docs/comparing.md has the format.
#pragma once
#include <set>
#include <string>

#include "engine/io/tensor_file.h"
#include "engine/nn/packed_batch.h"

namespace tenon {

class Oracle {
 public:
  // Throws for a broken file, one without input_ids and cu_seqlens, or with offsets that are none.
  explicit Oracle(const std::string& path);

  const std::string& path() const { return file_.path(); }
  std::string about() const;  // what the dump says of itself: versions, dtype, settings; may be empty
  // Throws for ids outside the vocabulary, and for sequences longer than the model's.
  PackedBatch batch(int64_t vocabulary_size, int64_t longest) const;

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  bool has_gradients() const;
  // fp32 on the host. Throws, by name, where it is missing or has another shape.
  Tensor tensor(const std::string& name, const Shape& shape) const;
  // Throws, by name, for a tensor that was never asked for: it belongs to no operation of the model.
  void check_all_were_used() const;

 private:
  std::vector<int32_t> integers(const std::string& name) const;

  TensorFile file_;
  mutable std::set<std::string, std::less<>> used_;
};

}  // namespace tenon
