#include "engine/train/checkpoint.h"

#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string folder_name(int64_t step) {
  const std::string digits = std::to_string(step);
  return "step-" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

}  // namespace

json read_json(const fs::path& file) {
  json parsed = json::parse(read_file(file.string()), nullptr, false);
  check(!parsed.is_discarded(), file.string(), " is not valid JSON");
  return parsed;
}

void write_json(const fs::path& file, const json& value) {
  write_file_atomically(file.string(), value.dump(2) + "\n");
}

void save_tensors(const fs::path& file, const NamedParameters& tensors) {
  std::vector<Tensor> on_host;
  std::vector<TensorEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    on_host.push_back(tensor->to(Device::cpu));
    entries.push_back({name, on_host.back().view()});
  }
  write_safetensors(file.string(), entries, {{"format", "pt"}});
}

fs::path CheckpointStore::save(int64_t step, const NamedParameters& tensors, const json& state) const {
  const fs::path target = folder_ / folder_name(step);
  fs::create_directories(target);
  save_tensors(target / "tensors.safetensors", tensors);
  write_json(target / "manifest.json", state);
  for (const auto& entry : fs::directory_iterator(folder_))
    if (entry.path() != target) fs::remove_all(entry.path());
  return target;
}

std::optional<fs::path> CheckpointStore::newest() const {
  std::optional<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder_, none))
    if (fs::exists(entry.path() / "manifest.json") && (!found || entry.path().filename() > found->filename()))
      found = entry.path();
  return found;
}

json CheckpointStore::load(const fs::path& checkpoint, const NamedParameters& tensors) {
  const TensorFile file = read_safetensors((checkpoint / "tensors.safetensors").string());
  for (const auto& [name, tensor] : tensors) {
    const TensorEntry* entry = file.find(name);
    check(entry != nullptr, file.path(), " lacks the tensor ", name,
          "; was the run started with other settings?");
    check(Shape(entry->view) == tensor->shape(), file.path(), ": tensor ", name, " has the shape ",
          Shape(entry->view), ", not ", tensor->shape());
    tensor->copy_from(Tensor(entry->view, file.memory()));
  }
  return read_json(checkpoint / "manifest.json");
}

}  // namespace tenon
