// tenon: trains, evaluates and serves the sentiment model, and shows and measures kernels.
// Exit codes: 0 done, 1 failed (one sentence on stderr), 2 wrong usage.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "engine/precision.h"
#include "engine/tuned_file.h"
#include "kernels/base/device.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/base/tuned.h"
#include "kernels/cpu/parallel.h"
#include "tools/commands.h"

namespace tenon {
namespace {

std::atomic<bool> interrupt_flag{false};

void on_interrupt(int) {
  if (interrupt_flag.exchange(true)) std::_Exit(130);
}

// Help and version go to standard output; anything else is wrong usage.
int finish_usage(const CLI::App& program, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return program.exit(error);
  const auto chosen = program.get_subcommands();
  std::string message = error.what();
  while (message.ends_with('.') || message.ends_with('\n')) message.pop_back();
  std::fprintf(stderr, "tenon: %s; 'tenon %s--help' shows the options\n", message.c_str(),
               chosen.empty() ? "" : (chosen[0]->get_name() + " ").c_str());
  return 2;
}

// "512M": bytes, or K, M or G of them, in powers of 1024.
size_t parse_bytes(std::string_view text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const size_t shift = unit == "G" ? 30 : unit == "M" ? 20 : unit == "K" ? 10 : 0;
  check(error == std::errc() && (shift > 0 || unit.empty()), "TENON_MEMORY_LIMIT is '", text,
        "'; write it as 512M or 8G");
  return number << shift;
}

int finish_failed(const char* message) {
  std::fprintf(stderr, "tenon: %s\n", message);
  return 1;
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
  add_kernel_to(command);
  command.add_option("--threads", threads, "Threads (default: all cores)");
}

void ComputeOptions::add_kernel_to(CLI::App& command) {
  command.add_option_function<std::vector<std::string>>(
      "--kernel",
      [this](const std::vector<std::string>& choices) {
        for (const std::string& choice : choices) kernels += (kernels.empty() ? "" : ",") + choice;
      },
      "Force a variant: operation=variant; may be given several times");
}

void ComputeOptions::add_dtype_to(CLI::App& command) {
  runs_model_ = true;
  command
      .add_option("--dtype", dtype,
                  "fp32, tf32 (as fp32, but products may be rounded so) or bf16 (activations; weights, "
                  "statistics and sums stay fp32)")
      ->capture_default_str();
}

void ComputeOptions::apply() const {
  as_usage([&] {
    if (threads != 0) set_thread_count(threads);
    set_precision(parse_precision(dtype));
    parse_device(device);
    force_variants();
    if (const char* limit = std::getenv("TENON_MEMORY_LIMIT"))
      set_memory_limit(parse_device(device), parse_bytes(limit));
  });
  memory_backend(parse_device(device));  // throws where this build or machine lacks it
  tenon::check_forced_variants(parse_device(device),
                               runs_model_ ? element_types(precision()) : std::vector<DType>());
  const std::string file = tuned_file().string();
  note_lacking(file, use_tuned(read_tuned(file, parse_device(device))));
}

void ComputeOptions::force_variants() const {
  if (const char* from_environment = std::getenv("TENON_KERNEL")) tenon::force_variants(from_environment);
  tenon::force_variants(kernels);
}

void ComputeOptions::check_forced_variants() const {
  check_forced_variants_used();
  if (const std::string idle = forced_without_a_call(); !idle.empty())
    std::fprintf(stderr, "tenon: note: --kernel %s had no effect: no such operation ran\n", idle.c_str());
}

void note_lacking(const std::string& file, const std::string& variants) {
  if (!variants.empty())
    std::fprintf(stderr,
                 "tenon: note: %s names variants that this build lacks: %s; others are chosen instead\n",
                 file.c_str(), variants.c_str());
}

void as_usage(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

void note_unexpected(const std::string& folder, const std::vector<std::string>& tensors) {
  if (tensors.empty()) return;
  constexpr size_t shown = 5;
  std::string names;
  for (size_t i = 0; i < std::min(tensors.size(), shown); ++i) names += (i ? ", " : "") + tensors[i];
  if (tensors.size() > shown) names += str(" and ", tensors.size() - shown, " more");
  std::fprintf(stderr,
               "tenon: note: %s holds tensors that are no part of the model and were not loaded: %s\n",
               folder.c_str(), names.c_str());
}

}  // namespace tenon

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is then an error of write, like a full disk
  CLI::App program("tenon: a deep-learning engine for BERT and GRU models, with its own kernels", "tenon");
  program.require_subcommand(1);
  program.set_version_flag("--version", TENON_VERSION);
  program.footer("'tenon COMMAND --help' shows a command's options and examples.");
  tenon::add_train(program);
  tenon::add_eval(program);
  tenon::add_predict(program);
  tenon::add_encode(program);
  tenon::add_tokenize(program);
  tenon::add_inspect(program);
  tenon::add_convert(program);
  tenon::add_kernels(program);
  tenon::add_generate(program);
  tenon::add_bench(program);
  tenon::add_compare(program);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return tenon::finish_usage(program, error);
  } catch (const std::bad_alloc&) {
    return tenon::finish_failed("memory is exhausted; give a smaller --batch-size or --max-length");
  } catch (const std::exception& error) {
    return tenon::finish_failed(error.what());
  }
}
