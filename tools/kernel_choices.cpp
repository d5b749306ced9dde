#include "tools/kernel_choices.h"

#include <cstdio>
#include <map>
#include <utility>

#include "kernels/base/select.h"
#include "kernels/base/tuned.h"

namespace tenon {
namespace {

bool has_variant(const AnyOperation& operation, Device device, DType dtype) {
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).device == device && operation.variant(i).takes(dtype)) return true;
  return false;
}

// Why the table's variant for these arguments is not the one that is chosen; empty if it is, or there is
// none.
std::string why_not_tuned(const AnyOperation& operation, const AnyArgs& args, DType dtype, Device device) {
  const std::string_view tuned = tuned_variant(operation, device, dtype, args.inputs, args.outputs);
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    const VariantInfo& variant = operation.variant(i);
    if (variant.device != device || variant.name != tuned) continue;
    const std::string why_not = operation.supports(i, args);
    if (!why_not.empty()) return str("; tuned ", tuned, " cannot: ", why_not);
  }
  return "";
}

CaseChoice choice_of(const AnyOperation& operation, Device device, DType dtype, size_t index) {
  const AnyArgs args = operation.args(dtype, index);
  CaseChoice chosen{device, dtype, operation.cases(dtype)[index].name, operation.variant_count(), ""};
  try {
    const Choice choice = select(operation, args, dtype, device);
    chosen.variant = choice.variant;
    if (choice.reason == Reason::forced)
      chosen.why = "forced";
    else if (choice.reason == Reason::tuned)
      chosen.why = "tuned";
    else
      chosen.why = "priority" + why_not_tuned(operation, args, dtype, device);
  } catch (const Error& error) {
    chosen.why = error.what();
  }
  return chosen;
}

}  // namespace

std::vector<CaseChoice> choices_of(const AnyOperation& operation) {
  std::vector<CaseChoice> choices;
  for (Device device : {Device::cpu, Device::cuda, Device::simt})
    for (DType dtype : operation.dtypes())
      for (size_t i = 0; has_variant(operation, device, dtype) && i < operation.cases(dtype).size(); ++i)
        choices.push_back(choice_of(operation, device, dtype, i));
  return choices;
}

void print_choices(const AnyOperation& operation, const std::string& tuned_file) {
  struct Alike {
    int cases = 0;
    std::string first;
  };
  std::map<std::string, Alike> lines;
  for (const CaseChoice& choice : choices_of(operation)) {
    const bool found = choice.variant < operation.variant_count();
    char line[128];
    std::snprintf(line, sizeof line, "  %-5s %-5s %-22s ", to_string(choice.device).c_str(),
                  to_string(choice.dtype).c_str(),
                  found ? std::string(operation.variant(choice.variant).name).c_str() : "none");
    Alike& alike = lines[line + choice.why];
    if (alike.cases++ == 0) alike.first = choice.name;
  }
  std::printf("\nchosen for the cases of the contract, and why\n");
  for (const auto& [line, alike] : lines)
    std::printf("%s (\"%s\"%s)\n", line.c_str(), alike.first.c_str(),
                alike.cases > 1 ? str(" and ", alike.cases - 1, " more").c_str() : "");
  bool headed = false;
  for (const TunedChoice& tuned : tuned_choices()) {
    if (tuned.operation != operation.name()) continue;
    if (!std::exchange(headed, true)) std::printf("\ntuned on this machine, in %s\n", tuned_file.c_str());
    std::printf("  %-5s %-5s %-22s %s\n", to_string(tuned.device).c_str(), to_string(tuned.dtype).c_str(),
                tuned.variant.c_str(), tuned.shape.c_str());
  }
}

}  // namespace tenon
