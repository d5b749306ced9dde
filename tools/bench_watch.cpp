#include "tools/bench_watch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kernels/base/memory.h"
#include "tools/commands.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

// Where the program lies, which is where CMake built it.
fs::path build_folder(const WatchOptions& options) {
  const fs::path folder =
      options.build.empty() ? fs::read_symlink("/proc/self/exe").parent_path() : fs::path(options.build);
  check(fs::exists(folder / "CMakeCache.txt"), "--watch rebuilds where CMake has configured, and ",
        folder.string(),
        " has no CMakeCache.txt; start build/release/tenon, or name the folder with --build");
  return folder;
}

// What this process was started with, less the options of --watch.
std::vector<std::string> other_arguments() {
  std::ifstream line("/proc/self/cmdline");
  std::vector<std::string> arguments;
  std::string word;
  std::getline(line, word, '\0');  // the program
  while (std::getline(line, word, '\0'))
    if (word == "--watch" || word == "--build")
      std::getline(line, word, '\0');
    else if (!word.starts_with("--watch=") && !word.starts_with("--build="))
      arguments.push_back(word);
  return arguments;
}

// A .cu file runs on a GPU, or emulated where there is none.
std::vector<std::string> bench_arguments(const WatchOptions& options) {
  std::vector<std::string> arguments = other_arguments();
  const bool chosen = std::any_of(arguments.begin(), arguments.end(),
                                  [](const std::string& word) { return word.starts_with("--device"); });
  if (!chosen && options.file.ends_with(".cu")) {
    arguments.push_back("--device");
    arguments.push_back(to_string(has_device(Device::cuda) ? Device::cuda : Device::simt));
  }
  arguments.push_back("--file");
  arguments.push_back(options.file);
  return arguments;
}

// Whether it ended with 0; the child has this terminal.
bool run(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  const pid_t child = fork();
  check(child >= 0, "no process could be started for ", words[0]);
  if (child == 0) {
    execvp(pointers[0], pointers.data());
    std::fprintf(stderr, "tenon: %s cannot be started\n", pointers[0]);
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && !interrupted()) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A file that an editor is just replacing has none.
fs::file_time_type saved_at(const std::string& file) {
  std::error_code gone;
  return fs::last_write_time(file, gone);
}

}  // namespace

void WatchOptions::add_to(CLI::App& command) {
  command.add_option("--watch", file,
                     "Build and bench this source file's variants again whenever it is saved");
  command.add_option("--build", build, "Folder that --watch builds in (default: that of this program)");
}

void watch_file(const WatchOptions& options) {
  check(fs::exists(options.file), options.file, " does not exist; --watch takes a variant's source file");
  const fs::path build = build_folder(options);
  std::vector<std::string> bench = {(build / "tenon").string()};
  for (std::string& word : bench_arguments(options)) bench.push_back(std::move(word));
  watch_for_interrupt();
  while (!interrupted()) {
    const auto built = saved_at(options.file);
    if (run({"cmake", "--build", build.string(), "--target", "tenon"}))
      run(bench);
    else
      std::printf("not built\n");
    if (interrupted()) break;
    std::printf("waiting for %s to be saved; Ctrl-C ends\n", options.file.c_str());
    std::fflush(stdout);
    while (!interrupted() && (saved_at(options.file) == built || !fs::exists(options.file)))
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace tenon
