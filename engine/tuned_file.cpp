#include "engine/tuned_file.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "engine/train/checkpoint.h"
#include "kernels/base/device_name.h"
#include "kernels/base/memory.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int version = 1;
constexpr const char* advice = "; remove it, and 'tenon bench --tune' writes a new one";

DType parse_dtype(const std::string& name) {
  for (DType each : {DType::f32, DType::bf16, DType::f16, DType::f64})
    if (to_string(each) == name) return each;
  fail("there is no element type '", name, "'");
}

TunedChoice to_choice(const json& entry) {
  return {entry.at("op"), parse_device(entry.at("device").get<std::string>()), parse_dtype(entry.at("dtype")),
          entry.at("shape"), entry.at("variant")};
}

// The list of entries, each of them looked at.
json read_entries(const fs::path& file) {
  if (!fs::exists(file)) return json::array();
  const json table = json::parse(read_file(file.string()), nullptr, false);
  check(!table.is_discarded(), file.string(), " is not valid JSON", advice);
  try {
    check(table.at("version") == version, "its version is not ", version);
    for (const json& entry : table.at("choices")) {
      to_choice(entry);
      entry.at("machine").get<std::string>();
    }
    return table.at("choices");
  } catch (const json::exception&) {
    fail(file.string(), " lacks what a table of tuned variants has", advice);
  } catch (const Error& error) {
    fail(file.string(), " is no table of tuned variants: ", error.what(), advice);
  }
}

bool replaces(const json& entry, const json& other) {
  for (const char* part : {"device", "machine", "op", "dtype", "shape"})
    if (entry.at(part) != other.at(part)) return false;
  return true;
}

}  // namespace

fs::path tuned_file() {
  if (const char* file = std::getenv("TENON_TUNED")) return file;
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return fs::path(value ? value : "");
  };
  if (const fs::path cache = folder("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "tenon/tuned.json";
  if (const fs::path home = folder("HOME"); home.is_absolute()) return home / ".cache/tenon/tuned.json";
  return {};
}

json to_json(const TunedChoice& choice) {
  return {{"device", to_string(choice.device)},
          {"machine", device_name(choice.device)},
          {"op", choice.operation},
          {"dtype", to_string(choice.dtype)},
          {"shape", choice.shape},
          {"variant", choice.variant}};
}

std::vector<TunedChoice> read_tuned(const fs::path& file, Device device, Machine machine) {
  std::vector<TunedChoice> choices;
  if (file.empty()) return choices;
  for (const json& entry : read_entries(file))
    if (entry.at("device") == to_string(device) &&
        (machine == Machine::any || (has_device(device) && entry.at("machine") == device_name(device))))
      choices.push_back(to_choice(entry));
  return choices;
}

void add_to_tuned_file(const fs::path& file, const json& entries) {
  json all = json::array();
  for (const json& old : read_entries(file)) {
    bool replaced = false;
    for (const json& entry : entries) replaced |= replaces(entry, old);
    if (!replaced) all.push_back(old);
  }
  for (const json& entry : entries)
    if (entry.at("variant") != "") all.push_back(entry);
  if (file.has_parent_path()) {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    check(!error, "cannot make the folder ", file.parent_path().string(), ": ", error.message());
  }
  write_json(file, {{"version", version}, {"choices", all}});
}

}  // namespace tenon
