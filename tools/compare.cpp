// tenon compare: a model against tensors dumped from PyTorch, operation by operation, forward and gradient.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "models/sentiment/ledger_subject.h"
#include "tools/commands.h"

namespace tenon {
namespace {

std::string shown(const std::optional<double>& error) {
  if (!error) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", *error);
  return text;
}

void print_rows(const Ledger& ledger) {
  std::printf("%-50s  %s\n%-50s  %-8s %-8s %-9s  %-8s %-8s %s\n", "", "forward                     gradient",
              "operation", "chain", "alone", "allowed", "chain", "alone", "allowed");
  for (const LedgerRow& row : ledger.rows) {
    std::printf("%-50s", row.operation.c_str());
    for (const LedgerErrors& errors : {row.forward, row.gradient})
      std::printf("  %-8s %-8s %s%s", shown(errors.chain).c_str(), shown(errors.alone).c_str(),
                  errors.alone ? shown(errors.allowed).c_str() : "-      ", errors.differs ? " *" : "  ");
    std::printf("\n");
  }
}

nlohmann::json to_json(const LedgerErrors& errors) {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  };
  return {{"chain", number(errors.chain)},
          {"alone", number(errors.alone)},
          {"allowed", errors.allowed},
          {"differs", errors.differs}};
}

nlohmann::json to_json(const Ledger& ledger) {
  nlohmann::json rows = nlohmann::json::array(), first;
  for (const LedgerRow& row : ledger.rows)
    rows.push_back({{"operation", row.operation},
                    {"forward", to_json(row.forward)},
                    {"gradient", to_json(row.gradient)}});
  if (const auto& d = ledger.first)
    first = {{"tensor", d->tensor}, {"error", d->error}, {"allowed", d->allowed},    {"alone", d->alone},
             {"side", d->side},     {"cause", d->cause}, {"remaining", d->remaining}};
  return {{"operations", rows}, {"first_difference", first}};
}

std::string sentence(const LedgerDifference& d, const std::string& oracle) {
  const std::string where = str(d.tensor, " is the first that differs from ", oracle, ", by ", shown(d.error),
                                " of its largest value, where ", shown(d.allowed), " is ordinary");
  if (!d.alone)
    return where +
           "; every operation is right alone, so look at how the model puts them together and at the "
           "fused kernels that it uses there";
  if (d.cause.empty())
    return str(where, "; ", d.side, " departs from fp64, and none of the usual mistakes explains it");
  return str(where, "; likely cause: in ", d.side, ", ", d.cause, " (which leaves ", shown(d.remaining), ")");
}

struct CompareCommand {
  std::string folder, oracle_file;
  ComputeOptions compute_options;
  bool as_json = false;

  void run() {
    compute_options.apply();
    const Oracle oracle(oracle_file);
    LedgerSubject subject(folder, parse_device(compute_options.device), oracle.has("bert.pooler"));
    const PackedBatch batch =
        oracle.batch(subject.config().vocab_size, subject.config().max_position_embeddings);
    const Ledger ledger = compare(subject.model, oracle, batch);
    compute_options.check_forced_variants();
    report(ledger, oracle, batch);
  }

 private:
  void report(const Ledger& ledger, const Oracle& oracle, const PackedBatch& batch) const {
    if (as_json) {
      std::printf("%s\n", to_json(ledger).dump(2).c_str());
    } else {
      std::printf("%s: %ld sequences, %ld tokens%s%s\n\n", oracle.path().c_str(),
                  static_cast<long>(batch.sequences), static_cast<long>(batch.tokens),
                  oracle.about().empty() ? "" : "; ", oracle.about().c_str());
      print_rows(ledger);
    }
    std::fflush(stdout);
    if (ledger.first) fail(sentence(*ledger.first, oracle.path()));
    if (!as_json) std::printf("\nno operation differs\n");
  }
};

}  // namespace

void add_compare(CLI::App& program) {
  auto command = std::make_shared<CompareCommand>();
  CLI::App* c = program.add_subcommand(
      "compare", "Measure every operation of a model against tensors dumped from PyTorch");
  c->add_option("MODEL", command->folder, "Folder of a HuggingFace BERT, or that 'tenon train' wrote")
      ->required();
  c->add_option("--oracle", command->oracle_file, "What tools/baseline/dump_encoder.py wrote")->required();
  c->add_flag("--json", command->as_json, "One JSON object: operations, first_difference");
  command->compute_options.add_to(*c);
  command->compute_options.add_dtype_to(*c);
  c->footer(
      R"(Prints the error of each operation, forward and gradient, as a share of the largest value: in the chain, as
the model runs it, and alone, on the oracle's own inputs. Exit code 1 if one differs by more than rounding.

Examples:
  python tools/baseline/dump_encoder.py bert-base-uncased --out dump.safetensors
  tenon compare bert-base-uncased --oracle dump.safetensors
  tenon compare bert-base-uncased --oracle dump.safetensors --device cuda --kernel attention=flash_mma)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
