#include "models/ledger/oracle.h"

#include <algorithm>

#include "engine/io/load.h"
#include "engine/io/safetensors.h"

namespace tenon {

Oracle::Oracle(const std::string& path) : file_(read_safetensors(path)) {
  const auto offsets = integers("cu_seqlens");
  const auto tokens = static_cast<int32_t>(integers("input_ids").size());
  const bool rising =
      std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) == offsets.end();
  check(offsets.size() >= 2 && offsets.front() == 0 && offsets.back() == tokens && rising, path,
        ": cu_seqlens must rise from 0 to the ", tokens, " tokens of input_ids; dump it again");
}

std::vector<int32_t> Oracle::integers(const std::string& name) const {
  const TensorEntry* entry = file_.find(name);
  check(entry != nullptr, path(), " has no tensor ", name, "; write it with tools/baseline/dump_encoder.py");
  check(entry->view.dtype == DType::i32 && entry->view.rank == 1, path(), ": ", name,
        " must be a vector of i32, not ", to_string(entry->view));
  used_.insert(name);
  const int32_t* begin = entry->view.as<int32_t>();
  return {begin, begin + entry->view.size()};
}

std::string Oracle::about() const {
  const auto found = file_.metadata().find("about");
  return found == file_.metadata().end() ? "" : found->second;
}

PackedBatch Oracle::batch(int64_t vocabulary_size, int64_t longest) const {
  const auto ids = integers("input_ids"), offsets = integers("cu_seqlens");
  std::vector<std::vector<int32_t>> sequences;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    check(offsets[s + 1] - offsets[s] <= longest, path(), ": sequence ", s, " has ",
          offsets[s + 1] - offsets[s], " tokens, but the model has ", longest, " positions");
    sequences.emplace_back(ids.begin() + offsets[s], ids.begin() + offsets[s + 1]);
  }
  for (const int32_t id : ids)
    check(id >= 0 && id < vocabulary_size, path(), ": input_ids holds ", id,
          ", but the model's vocabulary has ", vocabulary_size, " words; was it dumped from another model?");
  return PackedBatch::of_ids(sequences);
}

bool Oracle::has_gradients() const {
  return std::any_of(file_.entries().begin(), file_.entries().end(),
                     [](const TensorEntry& entry) { return entry.name.starts_with("grad."); });
}

Tensor Oracle::tensor(const std::string& name, const Shape& shape) const {
  const TensorEntry* entry = file_.find(name);
  check(entry != nullptr, path(), " has no tensor ", name,
        "; write it with tools/baseline/dump_encoder.py, from the same model");
  check(Shape(entry->view) == shape, path(), ": tensor ", name, " has the shape ", Shape(entry->view),
        " where the model has ", shape, "; was it dumped from another model?");
  used_.insert(name);
  return tensor_of(file_, *entry);
}

void Oracle::check_all_were_used() const {
  for (const TensorEntry& entry : file_.entries())
    check(used_.contains(entry.name), path(), " holds ", entry.name,
          ", which is no operation or parameter of the model; was it dumped from another model?");
}

}  // namespace tenon
