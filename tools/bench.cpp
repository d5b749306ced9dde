// tenon bench: the variants of an operation timed against each other, verified before and meanwhile. With
// --against it runs PyTorch beside them, and with --worker it is Tenon's side of that.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "kernels/base/select.h"
#include "kernels/base/timing.h"
#include "tools/bench_against.h"
#include "tools/bench_end_to_end.h"
#include "tools/bench_tune.h"
#include "tools/bench_worker.h"
#include "tools/commands.h"
#include "tools/machine.h"

namespace tenon {
namespace {

using nlohmann::json;

struct BenchCommand {
  std::vector<std::string> operations;
  std::string case_name, json_file, dtype = "f32";
  bool slow = false, tune = false;
  TimingOptions timing;
  WorkerOptions worker;
  AgainstOptions against;
  EndToEnd end_to_end;
  ComputeOptions compute;
  Tuning tuning;

  void run();

 private:
  std::vector<const AnyOperation*> chosen_operations() const;
  std::vector<size_t> chosen_cases(const AnyOperation& operation, DType type) const;
  json time(const AnyOperation& operation, DType type, size_t index);
};

DType parse_dtype(const std::string& name) {
  for (DType each : {DType::f32, DType::bf16, DType::f16, DType::f64})
    if (to_string(each) == name) return each;
  throw CLI::ValidationError("--dtype", name + " is unknown; use f32, bf16, f16 or f64");
}

std::vector<const AnyOperation*> BenchCommand::chosen_operations() const {
  if (operations.empty()) return tenon::operations();
  std::vector<const AnyOperation*> chosen;
  for (const std::string& name : operations) {
    chosen.push_back(find_operation(name));
    if (!chosen.back())
      throw CLI::ValidationError("OP", "there is no operation '" + name + "'; 'tenon kernels' lists them");
  }
  return chosen;
}

// The case of this name, else the model's own shapes, which are marked as large, else the costliest one.
std::vector<size_t> BenchCommand::chosen_cases(const AnyOperation& operation, DType type) const {
  const auto cases = operation.cases(type);
  std::vector<size_t> chosen;
  for (size_t i = 0; i < cases.size(); ++i)
    if (case_name.empty() ? cases[i].large : cases[i].name == case_name) chosen.push_back(i);
  if (!chosen.empty() || !case_name.empty() || cases.empty()) return chosen;
  const auto bytes = [&](size_t i) { return operation.cost(operation.args(type, i)).bytes; };
  size_t costliest = 0;
  for (size_t i = 1; i < cases.size(); ++i)
    if (bytes(i) > bytes(costliest)) costliest = i;
  return {costliest};
}

json figures(const std::vector<double>& seconds, const Cost& cost, double default_median) {
  const double median = quantile(seconds, 0.5);
  std::vector<double> milliseconds;
  for (double each : seconds) milliseconds.push_back(1e3 * each);
  return {{"median_ms", 1e3 * median},
          {"p10_ms", 1e3 * quantile(seconds, 0.1)},
          {"p90_ms", 1e3 * quantile(seconds, 0.9)},
          {"gflops", cost.flops / median / 1e9},
          {"gigabytes_per_second", cost.bytes / median / 1e9},
          {"time_over_default", default_median > 0 ? json(median / default_median) : json()},
          {"samples_ms", milliseconds}};
}

json BenchCommand::time(const AnyOperation& operation, DType type, size_t index) {
  const Device device = parse_device(compute.device);
  const CaseTiming measured = time_case(operation, type, index, device, timing);
  json result = {{"op", operation.name()},
                 {"case", operation.cases(type)[index].name},
                 {"dtype", to_string(type)},
                 {"device", to_string(device)},
                 {"flops", measured.cost.flops},
                 {"bytes", measured.cost.bytes},
                 {"caches", measured.cold ? "cold" : "warm"},
                 {"bytes_rotated", measured.bytes_rotated},
                 {"variants", json::array()}};
  if (measured.variants.empty()) return result;
  const AnyArgs args = operation.args(type, index);
  const size_t by_default = select(operation, args, type, device).variant;
  if (tune) tuning.add({operation, args, type, device, by_default}, measured);
  double default_median = 0;
  for (const VariantTiming& each : measured.variants)
    if (each.variant == by_default && !each.seconds.empty()) default_median = quantile(each.seconds, 0.5);
  for (const VariantTiming& each : measured.variants) {
    json line = {{"variant", operation.variant(each.variant).name},
                 {"default", each.variant == by_default},
                 {"verified", !each.seconds.empty()}};
    if (each.seconds.empty())
      line["why_not"] = each.why_not;
    else
      line.update(figures(each.seconds, measured.cost, default_median));
    result["variants"].push_back(line);
  }
  return result;
}

void print(const json& result) {
  std::printf("%s, %s, %s, caches %s\n", result["op"].get<std::string>().c_str(),
              result["case"].get<std::string>().c_str(), result["dtype"].get<std::string>().c_str(),
              result["caches"].get<std::string>().c_str());
  std::printf("  %-24s %11s %21s %9s %8s %8s\n", "variant", "median ms", "10 % - 90 %", "GFLOP/s", "GB/s",
              "times");
  for (const json& v : result["variants"]) {
    const std::string name = v["variant"].get<std::string>() + (v["default"].get<bool>() ? " *" : "");
    if (!v["verified"].get<bool>()) {
      std::printf("  %-24s no figure: %s\n", name.c_str(), v["why_not"].get<std::string>().c_str());
      continue;
    }
    std::printf("  %-24s %11.4f %10.4f-%10.4f %9.1f %8.1f", name.c_str(), v["median_ms"].get<double>(),
                v["p10_ms"].get<double>(), v["p90_ms"].get<double>(), v["gflops"].get<double>(),
                v["gigabytes_per_second"].get<double>());
    if (v["time_over_default"].is_number()) std::printf(" %8.2f", v["time_over_default"].get<double>());
    std::printf("\n");
  }
  std::printf("\n");
  std::fflush(stdout);
}

void BenchCommand::run() {
  if (!against.peer.empty() || !worker.what.empty()) {  // whole works, in a model's precision
    compute.dtype = dtype == "f32" ? "fp32" : dtype;
    if (!against.peer.empty()) bench_against(against, compute, operations, worker.model, json_file);
    compute.apply();
    return serve_benchmark(worker, compute);
  }
  if (!end_to_end.comparison.empty()) {
    end_to_end.json_file = json_file;
    end_to_end.settings.data = against.data;
    return end_to_end.run(compute, dtype);
  }
  compute.apply();
  check(
      compute.device != "simt",
      "--device simt runs kernels for correctness on the host, and its times would say nothing of a GPU; use "
      "--device cpu");
  if (slow) timing.slow_factor = 0;
  if (tune) Tuning::begin();
  const DType type = parse_dtype(dtype);
  json report = machine_and_build();
  report["results"] = json::array();
  size_t cases = 0;
  for (const AnyOperation* operation : chosen_operations()) {
    const auto types = operation->dtypes();
    if (std::find(types.begin(), types.end(), type) == types.end()) continue;
    for (size_t index : chosen_cases(*operation, type)) {
      ++cases;
      if (tune && !Tuning::has_choice(*operation, operation->args(type, index), parse_device(compute.device)))
        continue;
      report["results"].push_back(time(*operation, type, index));
      print(report["results"].back());
    }
  }
  check(cases > 0, case_name.empty() ? "no chosen operation" : "--case " + case_name,
        case_name.empty() ? " takes elements of type " + dtype : " is not a case of the chosen operations");
  if (tune) return tuning.write();
  if (!json_file.empty()) write_file_atomically(json_file, report.dump(1) + "\n");
  std::printf("*: what a run chooses by default; times: its median over the default's\n");
}

}  // namespace

void add_bench(CLI::App& program) {
  auto command = std::make_shared<BenchCommand>();
  CLI::App* c = program.add_subcommand("bench", "Time the variants of operations against each other");
  c->add_option("OP", command->operations, "Operations (default: all)");
  c->add_option("--case", command->case_name, "Case of the contract (default: the model's own shapes)");
  c->add_option("--dtype", command->dtype, "f32, bf16, f16 or f64")->capture_default_str();
  c->add_option("--runs", command->timing.runs, "Timed runs of each variant")
      ->check(CLI::Range(20, 1000000))
      ->capture_default_str();
  c->add_flag("--slow", command->slow, "Time variants that are over 5 times slower than the fastest, too");
  c->add_flag("--tune", command->tune,
              "Keep the fastest for later runs on this machine, where shapes are alike");
  c->add_option("--json", command->json_file, "Write all samples, the machine and the build to this file");
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
      R"(A variant gets a figure only if it is correct before the timing, on fresh inputs within it, and at its end.
Examples:
  tenon bench layer_norm
  tenon bench matmul gru_sequence --json bench.json
  tenon bench --tune
  tenon bench attention --case "bert 8x512" --threads 1
  tenon bench --against pytorch bert_8x128 gru --dtype bf16
  tenon bench --end-to-end gru_sequence=packed,plain --encoder minilm --data aclImdb --cache-features --svg losses.svg)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
