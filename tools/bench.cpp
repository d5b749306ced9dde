// tenon bench: the variants of an operation timed against each other, verified before, meanwhile and after.
// --against runs PyTorch beside them; with --worker it is Tenon's side of that.
#include "tools/bench.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/io/file.h"
#include "kernels/base/select.h"
#include "tools/bench_against.h"
#include "tools/bench_compare.h"
#include "tools/bench_counts.h"
#include "tools/bench_end_to_end.h"
#include "tools/bench_report.h"
#include "tools/bench_self_check.h"
#include "tools/bench_tune.h"
#include "tools/bench_watch.h"
#include "tools/bench_worker.h"
#include "tools/commands.h"
#include "tools/machine.h"

namespace tenon {
namespace {

using nlohmann::json;

struct BenchCommand {
  BenchChoice choice;
  std::string json_file, static_file, compare_file, once;
  bool slow = false, self_check = false, tune = false;
  TimingOptions timing;
  WorkerOptions worker;
  AgainstOptions against;
  EndToEnd end_to_end;
  WatchOptions watch;
  ComputeOptions compute;
  Tuning tuning;

  void run();

 private:
  json time(const BenchCase& work);
};

json BenchCommand::time(const BenchCase& work) {
  const auto& [operation, type, of] = work;
  const Device device = parse_device(compute.device);
  TimingOptions options = timing;
  options.contenders = contenders_from(choice.file, work, device);
  options.ceiling = [device, type = type](bool again) { return ceiling(device, type, again); };
  const CaseTiming measured = time_case(*operation, type, of, device, options);
  if (measured.variants.empty()) return report_case(work, device, measured, no_variant);
  const size_t by_default = select(*operation, of.args, type, device).variant;
  if (tune) tuning.add({*operation, of.args, type, device, by_default}, measured);
  return report_case(work, device, measured, by_default);
}

void BenchCommand::run() {
  if (!watch.file.empty()) return watch_file(watch);
  if (!against.peer.empty() || !worker.what.empty()) {  // whole works, in a model's precision
    compute.dtype = choice.dtype == "f32" ? "fp32" : choice.dtype;
    if (!against.peer.empty()) bench_against(against, compute, choice.operations, worker.model, json_file);
    compute.apply();
    return serve_benchmark(worker, compute);
  }
  if (!end_to_end.comparison.empty()) {
    end_to_end.json_file = json_file;
    end_to_end.settings.data = against.data;
    return end_to_end.run(compute, choice.dtype);
  }
  compute.apply();
  const Device device = parse_device(compute.device);
  if (!once.empty()) return run_once(once, choice, device);
  if (device == Device::simt && !tune && !self_check && compare_file.empty())
    return count_variants(choice.works(device), static_file, json_file);
  speed_backend(device);  // throws where times would say nothing
  if (slow) timing.slow_factor = 0;
  if (tune) Tuning::begin();
  if (self_check) return check_bench(choice, timing, device, json_file);
  json report = machine_and_build();
  report["device"] = report_device(device);
  report["seed"] = timing.seed;
  report["results"] = json::array();
  Comparison comparison(compare_file, report);
  for (const BenchCase& work : choice.works(device)) {
    if (tune && !Tuning::has_choice(*work.operation, work.of.args, device)) continue;
    if (report["results"].empty()) print_device(device, work.dtype);
    report["results"].push_back(time(work));
    print_case(report["results"].back());
    comparison.print(report["results"].back());
  }
  if (tune) return tuning.write();
  if (!json_file.empty()) write_file_atomically(json_file, report.dump(1) + "\n");
  print_legend();
  comparison.check_any_compared();
}

}  // namespace

void add_bench(CLI::App& program) {
  auto command = std::make_shared<BenchCommand>();
  command->timing.seed = std::random_device()();
  CLI::App* c =
      program.add_subcommand("bench", "Time the variants of operations against each other; on simt, count");
  command->choice.add_to(*c);
  c->add_option("--runs", command->timing.runs, "Timed runs of each variant")
      ->check(CLI::Range(fewest_runs, 1000000))
      ->capture_default_str();
  c->add_option("--verify-seed", command->timing.seed,
                "Of inputs and of the runs that are verified (default: another one each time)");
  c->add_flag("--slow", command->slow, "Time variants that are over 5 times slower than the fastest, too");
  c->add_flag("--tune", command->tune,
              "Keep the fastest for later runs on this machine, where shapes are alike");
  c->add_option("--json", command->json_file, "Write all samples, the machine and the build to this file");
  c->add_option("--compare", command->compare_file,
                "Say what is faster or slower than in this file of --json");
  c->add_option("--once", command->once,
                "One bare launch, for a profiler: OP/VARIANT/CASE, or OP/VARIANT with --shape");
  c->add_flag("--self-check", command->self_check,
              "20 times a variant against itself, and 20 times against itself slowed down by 5 %");
  command->watch.add_to(*c);
  add_count_options(*c, command->static_file);
  c->add_option("--worker", command->worker.what,
                "Serve tools/baseline/bench.py on standard input and output: the work to do")
      ->group("Against other programs");
  c->add_option("--input", command->worker.input, "The worker's input file")->group("Against other programs");
  c->add_option("--model", command->worker.model, "A BERT's HuggingFace folder (default: random weights)")
      ->group("Against other programs");
  command->against.add_to(*c);
  command->end_to_end.add_to(*c);
  command->compute.add_to(*c);
  c->footer(
      R"(A variant gets a figure only if it is correct before the timing, at runs that are drawn by chance, and after it;
docs/bench.md says what else is watched.
On simt nothing is timed: what kernels do to memory and to their warps is counted (docs/simt.md).
Examples:
  tenon bench layer_norm
  tenon bench layer_norm --shape 8192x768 --dtype bf16 --backward
  tenon bench matmul gru_sequence --json before.json
  tenon bench matmul gru_sequence --compare before.json
  tenon bench --tune
  tenon bench attention --case "bert 8x512" --threads 1
  tenon bench --against pytorch bert_8x128 gru --dtype bf16
  tenon bench --end-to-end gru_sequence=packed,plain --encoder minilm --data aclImdb --cache-features --svg losses.svg
  tenon bench --watch kernels/gelu/vectors.cu
  tenon bench softmax --device simt
  ncu tenon bench --once layer_norm/warp_per_row/4096x768 --device cuda)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
