#include "kernels/base/select.h"

#include <cstdlib>

namespace tenon {
namespace {

std::map<std::string, std::string, std::less<>>& forced_variants() {
  static std::map<std::string, std::string, std::less<>> forced;
  return forced;
}

bool batch_invariant_mode = false;

void force_variant(std::string_view choice) {
  const size_t equals = choice.find('=');
  check(equals != choice.npos, "--kernel ", choice, ": write it as operation=variant");
  const std::string_view name = choice.substr(0, equals), variant = choice.substr(equals + 1);
  const AnyOperation* operation = find_operation(name);
  check(operation != nullptr, "--kernel ", choice, ": there is no operation '", name,
        "'; 'tenon kernels' lists them");
  std::string known;
  for (size_t i = 0; i < operation->variant_count(); ++i) {
    if (operation->variant(i).name == variant) {
      forced_variants()[std::string(name)] = variant;
      return;
    }
    known += str(known.empty() ? "" : ", ", operation->variant(i).name);
  }
  fail("--kernel ", choice, ": ", name, " has no variant '", variant, "'; it has ", known);
}

}  // namespace

void force_variants(std::string_view choices) {
  while (!choices.empty()) {
    const size_t comma = choices.find(',');
    force_variant(choices.substr(0, comma));
    choices = comma == choices.npos ? std::string_view() : choices.substr(comma + 1);
  }
}

void clear_forced_variants() { forced_variants().clear(); }
bool is_forced(std::string_view operation) { return detail::forced(operation) != nullptr; }

void check_forced_variants(Device device) {
  for (const auto& [name, variant] : forced_variants()) {
    const AnyOperation* operation = find_operation(name);
    std::string devices;
    for (size_t i = 0; i < operation->variant_count(); ++i) {
      const VariantInfo& info = operation->variant(i);
      if (info.name == variant) devices += str(devices.empty() ? "" : " and ", info.device);
    }
    check(devices.find(to_string(device)) != devices.npos, "--kernel ", name, "=", variant,
          " cannot be had on ", device, ": that variant is for ", devices);
  }
}

void set_batch_invariant(bool on) { batch_invariant_mode = on; }
bool batch_invariant() { return batch_invariant_mode; }

std::map<std::string, std::string> chosen_variants() {
  std::map<std::string, std::string> chosen;
  for (const AnyOperation* operation : operations())
    for (size_t i = 0; i < operation->variant_count(); ++i) {
      const VariantInfo& variant = operation->variant(i);
      if (!variant.used.load(std::memory_order_relaxed)) continue;
      std::string& names = chosen[str(operation->name(), ".", variant.device)];
      names += str(names.empty() ? "" : ",", variant.name);
    }
  return chosen;
}

size_t select(const AnyOperation& operation, const AnyArgs& args, Device device) {
  const std::string* forced = detail::forced(operation.name());
  size_t best = operation.variant_count();
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    const VariantInfo& variant = operation.variant(i);
    if (variant.device != device || !operation.supports(i, args).empty()) continue;
    if (forced && variant.name == *forced) return i;
    if (best == operation.variant_count() || operation.variant(best).priority < variant.priority) best = i;
  }
  check(best < operation.variant_count(), "no variant of ", operation.name(), " runs on ", device);
  return best;
}

const std::string* detail::forced(std::string_view operation) {
  const auto found = forced_variants().find(operation);
  return found == forced_variants().end() ? nullptr : &found->second;
}

void detail::no_variant(std::string_view operation, Device device, DType dtype, const std::string& reasons) {
  fail("no kernel of ", operation, " runs on ", device, " with elements of type ", dtype,
       reasons.empty() ? "" : " (", reasons, reasons.empty() ? "" : ")");
}

}  // namespace tenon
