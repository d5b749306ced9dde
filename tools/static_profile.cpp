#include "tools/static_profile.h"

#include <set>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "tools/occupancy.h"

namespace tenon {

using nlohmann::json;

StaticProfile::StaticProfile(const std::string& file) {
  const json report = json::parse(read_file(file), nullptr, false);
  check(report.is_object() && report.contains("kernels") && report["kernels"].is_array(), file,
        " is not what tools/ptxas writes: it has no list of kernels");
  for (const json& kernel : report["kernels"])
    check(kernel.is_object() && kernel.contains("file") && kernel.contains("kernel") &&
              kernel.contains("arch") && kernel.contains("registers") && kernel.contains("shared"),
          file, " is not what tools/ptxas writes: a kernel lacks its file, name, arch, registers or shared");
  kernels_ = report["kernels"];
}

json StaticProfile::of(const std::string& source, const simt::KernelCounts& kernel) const {
  std::set<std::string> files;
  for (const json& each : kernels_)
    if (each["kernel"] == kernel.kernel) files.insert(each["file"].get<std::string>());
  json found = json::object();
  if (!files.contains(source) && files.size() != 1) return found;
  const std::string file = files.contains(source) ? source : *files.begin();
  for (const json& each : kernels_) {
    if (each["kernel"] != kernel.kernel || each["file"] != file) continue;
    json profile = {{"file", file}};
    for (const char* key : {"registers", "stack", "local", "shared", "mix"})
      if (each.contains(key)) profile[key] = each[key];
    const std::string arch = each["arch"];
    const auto fit = occupancy(arch, each["registers"].get<int64_t>(), kernel.threads,
                               each["shared"].get<int64_t>() + static_cast<int64_t>(kernel.shared_bytes));
    profile["blocks"] = fit.blocks;
    profile["occupancy"] = fit.share;
    profile["limited_by"] = fit.limited_by;
    found[arch] = profile;
  }
  return found;
}

}  // namespace tenon
