// tenon: trains, evaluates and serves the sentiment model, and shows and measures kernels.
// Exit codes: 0 done, 1 failed (one sentence on stderr), 2 wrong usage.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "kernels/base/device.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/cpu/parallel.h"
#include "tools/commands.h"

namespace tenon {
namespace {

std::atomic<bool> interrupt_flag{false};

void on_interrupt(int) {
  if (interrupt_flag.exchange(true)) std::_Exit(130);
}

}  // namespace

const std::atomic<bool>& interrupted() { return interrupt_flag; }
void watch_for_interrupt() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

void ComputeOptions::add_to(CLI::App& command) {
  command.add_option("--device", device, "cpu, cuda or simt (CUDA kernels on the host, for checks)")
      ->capture_default_str();
  command.add_option_function<std::vector<std::string>>(
      "--kernel",
      [this](const std::vector<std::string>& choices) {
        for (const std::string& choice : choices) kernels += (kernels.empty() ? "" : ",") + choice;
      },
      "Force a variant: operation=variant; may be given several times");
  command.add_option("--threads", threads, "Threads (default: all cores)");
}

void ComputeOptions::apply() const {
  if (threads != 0) set_thread_count(threads);
  const Device chosen = parse_device(device);
  memory_backend(chosen);  // throws where this build or machine lacks it
  if (const char* from_environment = std::getenv("TENON_KERNEL")) force_variants(from_environment);
  force_variants(kernels);
}

}  // namespace tenon

int main(int argc, char** argv) {
  CLI::App program("tenon: a deep-learning engine for BERT and GRU models, with its own kernels", "tenon");
  program.require_subcommand(1);
  program.set_version_flag("--version", TENON_VERSION);
  program.footer("'tenon COMMAND --help' shows a command's options and examples.");
  tenon::add_train(program);
  tenon::add_eval(program);
  tenon::add_predict(program);
  tenon::add_encode(program);
  tenon::add_tokenize(program);
  tenon::add_kernels(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tenon: %s\n", error.what());
    return 1;
  }
  return 0;
}
