// tenon kernels: every operation and variant that this build holds.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/base/registry.h"
#include "tools/commands.h"

namespace tenon {
namespace {

struct KernelsCommand {
  std::string operation;
  bool as_json = false;

  void run() {
    check(operation.empty() || find_operation(operation) != nullptr, "there is no operation '", operation,
          "'; 'tenon kernels' lists them");
    nlohmann::json all = nlohmann::json::array();
    for (const AnyOperation* each : operations())
      if (operation.empty() || each->name() == operation) add(*each, all);
    if (as_json)
      std::printf("%s\n", all.dump(2).c_str());
    else
      print(all);
  }

 private:
  static void add(const AnyOperation& operation, nlohmann::json& all) {
    for (size_t i = 0; i < operation.variant_count(); ++i) {
      const VariantInfo& variant = operation.variant(i);
      nlohmann::json dtypes = nlohmann::json::array();
      for (DType dtype : variant.dtypes) dtypes.push_back(to_string(dtype));
      all.push_back({{"op", operation.name()},
                     {"variant", variant.name},
                     {"device", to_string(variant.device)},
                     {"dtypes", dtypes},
                     {"backward", operation.backward()},
                     {"deterministic", variant.deterministic},
                     {"batch_invariant", variant.batch_invariant},
                     {"workspace", largest_workspace(operation, i)},
                     {"priority", variant.priority}});
    }
  }

  // Bytes of scratch over the contract's cases.
  static size_t largest_workspace(const AnyOperation& operation, size_t variant) {
    size_t largest = 0;
    for (DType dtype : operation.dtypes())
      for (size_t i = 0; i < operation.cases(dtype).size(); ++i) {
        const AnyArgs args = operation.args(dtype, i);
        if (operation.supports(variant, args).empty())
          largest = std::max(largest, operation.workspace(variant, args));
      }
    return largest;
  }

  static void print(const nlohmann::json& all) {
    std::printf("%-37s %-22s %-5s %4s  %-4s %-12s %-10s %s\n", "operation", "variant", "on", "prio", "det.",
                "workspace", "gradient", "dtypes");
    for (const auto& v : all) {
      std::string dtypes;
      for (const auto& dtype : v["dtypes"]) dtypes += (dtypes.empty() ? "" : " ") + dtype.get<std::string>();
      std::printf("%-37s %-22s %-5s %4d  %-4s %12ld %-10s %s\n", v["op"].get<std::string>().c_str(),
                  v["variant"].get<std::string>().c_str(), v["device"].get<std::string>().c_str(),
                  v["priority"].get<int>(), v["deterministic"].get<bool>() ? "yes" : "no",
                  v["workspace"].get<long>(), v["backward"].get<std::string>().empty() ? "no" : "yes",
                  dtypes.c_str());
    }
  }
};

}  // namespace

void add_kernels(CLI::App& program) {
  auto command = std::make_shared<KernelsCommand>();
  CLI::App* c = program.add_subcommand("kernels", "List every variant of every operation");
  c->add_option("OP", command->operation, "Only this operation");
  c->add_flag("--json", command->as_json, "A JSON list");
  c->footer("Examples:\n  tenon kernels\n  tenon kernels layer_norm --json");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
