// A checkpoint is a folder RUN/checkpoints/step-000123 with tensors.safetensors and, written last,
// manifest.json: without it the folder does not count. It holds what training changes and nothing else, so a
// frozen encoder is not copied again and again.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/nn/module.h"

namespace tenon {

class CheckpointStore {
 public:
  // Keeps the newest checkpoint and removes older ones.
  explicit CheckpointStore(std::filesystem::path run_folder) : folder_(run_folder / "checkpoints") {}

  // Returns the new folder. Crash-safe; on a full disk the older checkpoint stays.
  std::filesystem::path save(int64_t step, const NamedParameters& tensors, const nlohmann::json& state) const;
  // The folder of the newest complete checkpoint.
  std::optional<std::filesystem::path> newest() const;
  // Copies the tensors in; every one must be there with its shape.
  static nlohmann::json load(const std::filesystem::path& checkpoint, const NamedParameters& tensors);

 private:
  std::filesystem::path folder_;
};

// Tensors of any device into one safetensors file.
void save_tensors(const std::filesystem::path& file, const NamedParameters& tensors);
nlohmann::json read_json(const std::filesystem::path& file);
void write_json(const std::filesystem::path& file, const nlohmann::json& value);

}  // namespace tenon
