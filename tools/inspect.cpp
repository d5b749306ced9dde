// tenon inspect: what is in a file of tensors, a HuggingFace folder, a run or a checkpoint, with hashes of
// the files and of every tensor's bytes.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/io/sha256.h"
#include "engine/io/tensor_file.h"
#include "engine/train/checkpoint.h"
#include "kernels/cpu/parallel.h"
#include "tools/commands.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What a path turned out to be.
struct Subject {
  std::string kind;        // "file", "model", "run" or "checkpoint"
  fs::path tensors;        // the file that holds them; empty for a run that has saved nothing yet
  json about = nullptr;    // its configuration or settings
  std::string about_file;  // where that stands
};

Subject run_at(const fs::path& folder) {
  Subject run{"run", folder / "model.safetensors", read_json(folder / "settings.json"), "settings.json"};
  if (fs::exists(run.tensors)) return run;
  const auto checkpoint = CheckpointStore(folder).newest();
  run.tensors = checkpoint ? *checkpoint / "tensors.safetensors" : fs::path();
  return run;
}

Subject model_at(const fs::path& folder) {
  Subject model{"model", {}, read_json(folder / "config.json"), "config.json"};
  for (const char* name : {"pytorch_model.bin", "model.safetensors"})
    if (fs::exists(folder / name)) model.tensors = folder / name;
  check(!model.tensors.empty(), folder.string(),
        " holds neither model.safetensors nor pytorch_model.bin; copy the model's weights there");
  return model;
}

Subject subject_at(const fs::path& path) {
  check(fs::exists(path), "there is no ", path.string(), "; give a file of tensors, a model folder or a run");
  if (!fs::is_directory(path)) return {"file", path};
  if (fs::exists(path / "settings.json")) return run_at(path);
  if (fs::exists(path / "manifest.json"))
    return {"checkpoint", path / "tensors.safetensors", read_json(path / "manifest.json"), "manifest.json"};
  check(fs::exists(path / "config.json"), path.string(),
        " is neither a HuggingFace model (config.json), a run (settings.json) nor a checkpoint "
        "(manifest.json); give one of these, or a file of tensors");
  return model_at(path);
}

json files_of(const fs::path& path) {
  std::vector<fs::path> files;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
  } else {
    files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  json list(files.size(), json::object());
  parallel(static_cast<int64_t>(files.size()), [&](int64_t i) {
    const fs::path& file = files[static_cast<size_t>(i)];
    const fs::path name = fs::is_directory(path) ? fs::relative(file, path) : file.filename();
    list[static_cast<size_t>(i)] = {
        {"name", name.string()}, {"bytes", fs::file_size(file)}, {"sha256", sha256_of_file(file.string())}};
  });
  return list;
}

json tensors_of(const TensorFile& file) {
  const auto& entries = file.entries();
  json list(entries.size(), json::object());
  parallel(static_cast<int64_t>(entries.size()), [&](int64_t i) {
    const auto& [name, view] = entries[static_cast<size_t>(i)];
    const std::string_view bytes(view.as<char>(), view.bytes());
    list[static_cast<size_t>(i)] = {{"name", name},
                                    {"dtype", to_string(view.dtype)},
                                    {"shape", std::vector<int64_t>(view.shape, view.shape + view.rank)},
                                    {"count", view.size()},
                                    {"bytes", view.bytes()},
                                    {"sha256", sha256_of(bytes)}};
  });
  return list;
}

json examine(const fs::path& path) {
  const Subject subject = subject_at(path);
  json report = {{"path", path.string()}, {"kind", subject.kind}, {"files", files_of(path)}};
  if (!subject.about.is_null()) report[subject.about_file] = subject.about;
  int64_t parameters = 0, bytes = 0;
  report["tensors"] = json::array();
  if (!subject.tensors.empty()) {
    const TensorFile file = open_tensor_file(subject.tensors.string());
    for (const auto& [name, view] : file.entries()) {
      bytes += static_cast<int64_t>(view.bytes());
      if (is_floating(view.dtype)) parameters += view.size();
    }
    report["tensors"] = tensors_of(file);
    report["tensor_file"] = subject.tensors.string();
    report["metadata"] = file.metadata();
  }
  report["parameters"] = parameters;  // elements of floating tensors
  report["tensor_bytes"] = bytes;
  return report;
}

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string short_hash(const json& item) { return item["sha256"].get<std::string>().substr(0, 12); }

void print_summary(const json& report) {
  for (const char* about : {"config.json", "settings.json", "manifest.json"}) {
    if (!report.contains(about)) continue;
    std::printf("\n%s\n", about);
    for (const auto& [name, value] : report[about].items())
      if (value.is_primitive() && !value.is_null() && value != "")
        std::printf("  %-30s %s\n", name.c_str(), text_of(value).c_str());
  }
}

void print(const json& report) {
  std::printf("%s: a %s\n\n", report["path"].get<std::string>().c_str(),
              report["kind"].get<std::string>().c_str());
  std::printf("%-40s %15s  %s\n", "file", "bytes", "sha256");
  for (const json& file : report["files"])
    std::printf("%-40s %15ld  %s\n", file["name"].get<std::string>().c_str(), file["bytes"].get<long>(),
                file["sha256"].get<std::string>().c_str());
  print_summary(report);
  std::printf("\n%-62s %-5s %-18s %12s  %s\n", "tensor", "dtype", "shape", "bytes", "sha256");
  for (const json& tensor : report["tensors"])
    std::printf("%-62s %-5s %-18s %12ld  %s\n", tensor["name"].get<std::string>().c_str(),
                tensor["dtype"].get<std::string>().c_str(), tensor["shape"].dump().c_str(),
                tensor["bytes"].get<long>(), short_hash(tensor).c_str());
  std::printf("\n%zu tensors, %ld parameters, %ld bytes\n", report["tensors"].size(),
              report["parameters"].get<long>(), report["tensor_bytes"].get<long>());
}

struct InspectCommand {
  std::string path;
  bool as_json = false;

  void run() const {
    const json report = examine(path);
    if (as_json)
      std::printf("%s\n", report.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    else
      print(report);
  }
};

}  // namespace

void add_inspect(CLI::App& program) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* c = program.add_subcommand("inspect", "Show the tensors, sizes and hashes of a model or a run");
  c->add_option("PATH", command->path,
                "A .safetensors or .bin file, a HuggingFace folder, a run, or a checkpoint of one")
      ->required();
  c->add_flag("--json", command->as_json, "One JSON object: kind, files, tensors, parameters, configuration");
  c->footer("Examples:\n  tenon inspect bert-base-uncased\n  tenon inspect run/model.safetensors --json");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
