// The folder that `tenon train` writes. It works on another machine by itself:
//   model.safetensors   all tensors under the published names: bert.*, rnn.*, out.*
//   model.json          sizes of the head, longest input, whether PAD is attended to
//   encoder/            the encoder's configuration and vocabulary
//   settings.json  data.json  variants.json  tuned.json  metrics.jsonl  checkpoints/
#pragma once
#include <filesystem>
#include <fstream>
#include <memory>

#include "models/sentiment/settings.h"

namespace tenon {

struct SavedModel {
  std::unique_ptr<SentimentModel> model;
  int max_length;
  bool pad_batches;
};

class RunFolder {
 public:
  // A new run: throws if the folder exists and is not empty.
  static RunFolder create(const std::filesystem::path& path, const SentimentSettings& settings);
  // A run to continue: throws if it was started with other settings, naming the first that differs.
  static RunFolder reopen(const std::filesystem::path& path, const SentimentSettings& settings);

  const std::filesystem::path& path() const { return path_; }
  CheckpointStore checkpoints() const { return CheckpointStore(path_); }
  void write_data_manifest(const nlohmann::json& manifest) const;
  // On a resumed run: throws if the data have changed since.
  void check_data_manifest(const nlohmann::json& manifest) const;
  void write_variants() const;            // those chosen so far
  void write_tuned(Device device) const;  // the table that selection goes by on this device
  // Makes selection go by what the run has recorded for the device: forced variants, table, and those chosen.
  // Returns "op=variant,…" of what this build lacks.
  std::string select_as_recorded(Device device) const;

  void save_model(SentimentModel& model, const SentimentSettings& settings, int max_length) const;

  // Metrics: one JSON object a line. A resumed run first drops the lines after its checkpoint.
  void open_metrics(int64_t last_step, int64_t finished_epochs);
  void append_metrics(const nlohmann::json& line);

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::ofstream metrics_;
};

// Throws if the folder is not a finished run.
SavedModel load_run(const std::filesystem::path& run_folder);

}  // namespace tenon
