// tenon train --profile: where the time of a real run goes, by section, operation and layer.
// docs/profiling.md says how to read it.
#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/nn/module.h"
#include "kernels/base/profile.h"

namespace tenon {

class TrainingProfile {
 public:
  void add_to(CLI::App& command);  // --profile and --profile-steps
  void check_usage() const;        // throws where --profile-steps cannot be read
  void start(Device device);       // what follows calls nothing where --profile was not given
  // Names the model's layers and chooses the steps to record, of those between the ones done and the last.
  void expect_steps(Module& model, int64_t done, int64_t total);
  // Writes profile.json and trace.json into the run's folder, and prints the tables.
  void finish(const std::filesystem::path& run);

 private:
  bool on_ = false;
  std::string steps_;  // "10:60"; empty: chosen
  std::optional<Profiler> profiler_;
};

// What the machine can do, measured.
struct Peaks {
  double copy_bytes_per_second = 0;    // 0: not measured
  std::map<DType, double> operations;  // a second, in products of this type
};

// The contents of profile.json: times summed up by section, operation and layer. On simt without any time.
nlohmann::json summarize(const Profile& profile, const Peaks& peaks);
void print_profile(const nlohmann::json& summary);
// In Chrome's trace event format, which Perfetto opens.
nlohmann::json chrome_trace(const Profile& profile);

}  // namespace tenon
