// tenon kernels: every operation and variant that this build holds. What a variant cannot do is what it
// answers to the cases of its contract.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/tuned_file.h"
#include "kernels/base/select.h"
#include "kernels/base/tuned.h"
#include "tools/commands.h"
#include "tools/kernel_choices.h"
#include "tools/source_path.h"

namespace tenon {
namespace {

using nlohmann::json;

// Over the contract's cases that have an element type of the variant.
struct Answers {
  size_t workspace = 0;  // bytes of scratch, at most
  json limits = json::array();
};

Answers ask(const AnyOperation& operation, size_t variant) {
  Answers answers;
  std::set<std::string> kinds;  // sentences that differ in their numbers alone are of one kind
  for (DType dtype : operation.dtypes())
    for (size_t i = 0; operation.variant(variant).takes(dtype) && i < operation.cases(dtype).size(); ++i) {
      const AnyArgs args = operation.args(dtype, i);
      const std::string why_not = operation.supports(variant, args);
      if (why_not.empty())
        answers.workspace = std::max(answers.workspace, operation.workspace(variant, args));
      std::string kind = why_not;
      std::erase_if(kind, [](unsigned char letter) { return std::isdigit(letter); });
      if (!why_not.empty() && kinds.insert(kind).second) answers.limits.push_back(why_not);
    }
  return answers;
}

// Whether it is chosen by default for one of its element types, where it supports the arguments.
bool is_default(const AnyOperation& operation, const VariantInfo& variant) {
  return std::any_of(variant.dtypes.begin(), variant.dtypes.end(), [&](DType dtype) {
    for (size_t i = 0; i < operation.variant_count(); ++i) {
      const VariantInfo& other = operation.variant(i);
      if (other.device == variant.device && other.takes(dtype) && other.priority > variant.priority)
        return false;
    }
    return true;
  });
}

void add(const AnyOperation& operation, json& all) {
  const std::vector<CaseChoice> choices = choices_of(operation);
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    const VariantInfo& variant = operation.variant(i);
    const Answers answers = ask(operation, i);
    json dtypes = json::array();
    for (DType dtype : variant.dtypes) dtypes.push_back(to_string(dtype));
    json chosen = json::array();
    for (const CaseChoice& choice : choices)
      if (choice.variant == i)
        chosen.push_back({{"dtype", to_string(choice.dtype)}, {"case", choice.name}, {"why", choice.why}});
    all.push_back({{"op", operation.name()},
                   {"variant", variant.name},
                   {"device", to_string(variant.device)},
                   {"dtypes", dtypes},
                   {"backward", operation.backward()},
                   {"deterministic", variant.deterministic},
                   {"batch_invariant", variant.batch_invariant},
                   {"workspace", answers.workspace},
                   {"limits", answers.limits},
                   {"priority", variant.priority},
                   {"default", is_default(operation, variant)},
                   {"chosen", chosen},
                   {"file", source_path(variant.file)}});
  }
}

void print(const json& all, bool with_limits) {
  std::printf("%-37s %-22s %-5s %4s  %-4s %-12s %-10s %s\n", "operation", "variant", "on", "prio", "det.",
              "workspace", "gradient", "dtypes");
  for (const json& v : all) {
    std::string dtypes;
    for (const json& dtype : v["dtypes"]) dtypes += (dtypes.empty() ? "" : " ") + dtype.get<std::string>();
    const std::string name = v["variant"].get<std::string>() + (v["default"].get<bool>() ? " *" : "");
    std::printf("%-37s %-22s %-5s %4d  %-4s %12ld %-10s %s\n", v["op"].get<std::string>().c_str(),
                name.c_str(), v["device"].get<std::string>().c_str(), v["priority"].get<int>(),
                v["deterministic"].get<bool>() ? "yes" : "no", v["workspace"].get<long>(),
                v["backward"].get<std::string>().empty() ? "no" : "yes", dtypes.c_str());
    if (!with_limits) continue;
    for (const json& limit : v["limits"]) std::printf("    limit: %s\n", limit.get<std::string>().c_str());
  }
  std::printf("*: chosen by default for one of its element types, where it supports the arguments\n");
}

struct KernelsCommand {
  std::string operation;
  bool as_json = false;
  ComputeOptions compute;

  void run() const {
    as_usage([&] { compute.force_variants(); });
    const std::string table = tuned_file().string();
    std::vector<TunedChoice> tuned;
    for (Device device : {Device::cpu, Device::cuda})
      for (TunedChoice& choice : read_tuned(table, device)) tuned.push_back(std::move(choice));
    note_lacking(table, use_tuned(std::move(tuned)));
    check(operation.empty() || find_operation(operation) != nullptr, "there is no operation '", operation,
          "'; 'tenon kernels' lists them");
    json all = json::array();
    for (const AnyOperation* each : operations())
      if (operation.empty() || each->name() == operation) add(*each, all);
    if (as_json)
      std::printf("%s\n", all.dump(2).c_str());
    else
      print(all, !operation.empty());
    if (!as_json && !operation.empty()) print_choices(*find_operation(operation), table);
  }
};

}  // namespace

void add_kernels(CLI::App& program) {
  auto command = std::make_shared<KernelsCommand>();
  CLI::App* c = program.add_subcommand("kernels", "List every variant of every operation");
  c->add_option("OP", command->operation,
                "Only this operation, with what its variants cannot do and which are chosen");
  c->add_flag("--json", command->as_json, "A JSON list");
  command->compute.add_kernel_to(*c);
  c->footer(
      R"(A forced variant (--kernel, TENON_KERNEL) is chosen before the one that 'tenon bench --tune' has found to be the
fastest, and that before the highest priority. With OP, what would be chosen for the cases of its contract, and why.
Examples:
  tenon kernels
  tenon kernels layer_norm --json
  tenon kernels matmul --kernel matmul=eigen)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
