#include "tools/bench_against.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/precision.h"
#include "kernels/base/error.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

// The folder of the Python side: TENON_BASELINE, or that of the sources this program was built from.
fs::path baseline_folder() {
  const char* named = std::getenv("TENON_BASELINE");
  fs::path folder = named ? named : TENON_SOURCE_DIR "/tools/baseline";
  check(fs::exists(folder / "against.sh"), folder.string(),
        " holds no against.sh; name the tools/baseline folder of Tenon's sources in TENON_BASELINE");
  return folder;
}

}  // namespace

void AgainstOptions::add_to(CLI::App& command) {
  constexpr const char* group = "Against other programs";
  command
      .add_option(
          "--against", peer,
          "pytorch: the same work in PyTorch and its peers, in turns; OP is then one or more of bert, gru, "
          "epoch, tokenize, layer_norm, gelu, attention, embedding, adamw, or a case of them")
      ->check(CLI::IsMember({"pytorch"}))
      ->group(group);
  command
      .add_option("--data", data,
                  "IMDB for 'tokenize': an aclImdb folder or its .tar.gz; for --end-to-end as of tenon train")
      ->group(group);
  command.add_option("--sides", sides, "Only these sides, such as tenon,compile,onnxruntime")->group(group);
  command.add_option("--rounds", rounds, "Timed runs of each side (default: what fits into 90 s, 5 to 40)")
      ->check(CLI::PositiveNumber)
      ->group(group);
}

void bench_against(const AgainstOptions& options, const ComputeOptions& compute,
                   const std::vector<std::string>& works, const std::string& model,
                   const std::string& json_file) {
  as_usage([&] {
    parse_precision(compute.dtype);
    check(compute.device == "cpu" || compute.device == "cuda", "--against pytorch has no --device ",
          compute.device, "; use cpu or cuda");
  });
  const std::string script = (baseline_folder() / "against.sh").string();
  std::vector<std::string> arguments{script};
  arguments.insert(arguments.end(), works.begin(), works.end());
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
  };
  add("--tenon", fs::read_symlink("/proc/self/exe").string());
  add("--device", compute.device);
  add("--dtype", compute.dtype);
  add("--model", model);
  add("--data", options.data);
  add("--json", json_file);
  add("--sides", options.sides);
  if (compute.threads > 0) add("--threads", std::to_string(compute.threads));
  if (options.rounds > 0) add("--rounds", std::to_string(options.rounds));
  if (!compute.kernels.empty()) setenv("TENON_KERNEL", compute.kernels.c_str(), 1);

  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  execv(script.c_str(), pointers.data());
  fail(script, " cannot be run: it must be executable, and bash must be there");
}

}  // namespace tenon
