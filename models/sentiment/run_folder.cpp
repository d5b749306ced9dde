#include "models/sentiment/run_folder.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/io/load.h"
#include "engine/io/safetensors.h"
#include "engine/tuned_file.h"
#include "kernels/base/select.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Settings that may differ when a run is resumed: they do not change its result.
bool may_change(const std::string& name) {
  return name == "save_every" || name == "cache_file" || name == "kernels" || name == "data" ||
         name == "test_data" || name == "encoder";
}

}  // namespace

RunFolder RunFolder::create(const fs::path& path, const SentimentSettings& settings) {
  check(!fs::exists(path) || (fs::is_directory(path) && fs::is_empty(path)), path.string(),
        " exists already; give --out another folder, or --resume to continue that run");
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, "cannot make the folder ", path.string(), ": ", error.message());
  write_json(path / "settings.json", to_json(settings));
  return RunFolder(path);
}

RunFolder RunFolder::reopen(const fs::path& path, const SentimentSettings& settings) {
  const fs::path file = path / "settings.json";
  check(fs::exists(file), path.string(), " is not a run that could be resumed: it has no settings.json");
  const json before = to_json(settings_from_json(read_json(file), file.string())), now = to_json(settings);
  for (const auto& [name, value] : before.items())
    check(may_change(name) || now[name] == value, "--resume: ", name, " is ", now[name].dump(),
          " but the run in ", path.string(), " was started with ", value.dump(),
          "; give the same settings, or start a new run");
  return RunFolder(path);
}

void RunFolder::write_data_manifest(const json& manifest) const { write_json(path_ / "data.json", manifest); }

void RunFolder::check_data_manifest(const json& manifest) const {
  const fs::path file = path_ / "data.json";
  check(!fs::exists(file) || read_json(file).at("parts") == manifest.at("parts"),
        "--resume: the data are not those that ", file.string(),
        " records; give the same --data, or start a new run");
}

void RunFolder::write_variants() const { write_json(path_ / "variants.json", chosen_variants()); }

void RunFolder::write_tuned(Device device) const {
  json entries = json::array();
  for (const TunedChoice& choice : tuned_choices())
    if (choice.device == device) entries.push_back(to_json(choice));
  if (!entries.empty()) add_to_tuned_file(path_ / "tuned.json", entries);
}

std::string RunFolder::select_as_recorded(Device device) const {
  const fs::path settings = path_ / "settings.json", tuned = path_ / "tuned.json",
                 variants = path_ / "variants.json";
  try {
    force_variants(settings_from_json(read_json(settings), settings.string()).kernels);
  } catch (const Error& error) {
    fail("--resume: ", settings.string(), " asks for a kernel that this build lacks: ", error.what());
  }
  std::string lacking = use_tuned(read_tuned(tuned, device, Machine::any));
  if (!fs::exists(variants)) return lacking;
  std::set<std::string> chosen_by_size;
  for (const TunedChoice& choice : tuned_choices()) chosen_by_size.insert(choice.operation);
  std::string recorded;
  const json chosen = read_json(variants);
  for (const auto& [place, variant] : chosen.items()) {
    const auto name = variant.get<std::string>();
    const std::string operation = place.substr(0, place.rfind('.'));
    if (!place.ends_with(str(".", device)) || chosen_by_size.contains(operation)) continue;
    if (name.find(',') != name.npos) continue;  // several were in use, by shape: selection repeats that
    recorded += str(recorded.empty() ? "" : ",", operation, "=", name);
  }
  const std::string lacking_now = prefer_recorded_variants(recorded);
  return lacking + (lacking.empty() || lacking_now.empty() ? "" : ",") + lacking_now;
}

void RunFolder::save_model(SentimentModel& model, const SentimentSettings& settings, int max_length) const {
  fs::create_directories(path_ / "encoder");
  for (const fs::path& file : model.encoder().companion_files())
    fs::copy_file(file, path_ / "encoder" / file.filename(), fs::copy_options::overwrite_existing);
  save_tensors(path_ / "model.safetensors", named_parameters(model));
  write_json(path_ / "model.json", {{"hidden_size", model.config().hidden_size},
                                    {"num_layers", model.config().num_layers},
                                    {"bidirectional", model.config().bidirectional},
                                    {"dropout", model.config().dropout},
                                    {"max_length", max_length},
                                    {"pad_batches", settings.pad_batches},
                                    {"labels", {"negative", "positive"}}});
}

void RunFolder::open_metrics(int64_t last_step, int64_t finished_epochs) {
  const fs::path file = path_ / "metrics.jsonl";
  std::string kept;
  if (fs::exists(file)) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
      const json entry = json::parse(line, nullptr, false);
      if (entry.is_discarded()) break;
      if (entry.value("step", int64_t{0}) <= last_step &&
          entry.value("epoch", int64_t{0}) <= finished_epochs && !entry.contains("test_loss"))
        kept += line + "\n";
    }
  }
  write_file_atomically(file.string(), kept);
  metrics_.open(file, std::ios::app);
  check(metrics_.is_open(), "cannot write ", file.string());
}

void RunFolder::append_metrics(const json& line) {
  metrics_ << line.dump() << '\n' << std::flush;
  check(metrics_.good(), "cannot write ", (path_ / "metrics.jsonl").string(), "; is the disk full?");
}

SavedModel load_run(const fs::path& folder) {
  check(
      fs::exists(folder / "model.json") && fs::exists(folder / "model.safetensors"), folder.string(),
      " is not a finished run: it needs model.json and model.safetensors; train one with 'tenon train --out ",
      folder.string(), "'");
  const json about = read_json(folder / "model.json");
  try {
    const SentimentConfig config{.hidden_size = about.at("hidden_size"),
                                 .num_layers = about.at("num_layers"),
                                 .bidirectional = about.at("bidirectional"),
                                 .dropout = about.at("dropout")};
    SavedModel saved{nullptr, about.at("max_length"), about.at("pad_batches")};
    const TensorFile file = read_safetensors((folder / "model.safetensors").string());
    saved.model = std::make_unique<SentimentModel>(make_encoder(folder / "encoder", file), config);
    load_parameters(named_parameters(*saved.model), file);
    saved.model->set_training(false);
    return saved;
  } catch (const json::exception&) {
    fail((folder / "model.json").string(), " lacks an entry that every run has; train it again");
  }
}

}  // namespace tenon
