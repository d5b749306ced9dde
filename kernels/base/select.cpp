#include "kernels/base/select.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "kernels/base/tuned.h"

namespace tenon {
namespace {

struct Forced {
  std::string variant;
  bool used = false;
  std::string passed_over;  // why some call could not use it
};

using ForcedVariants = std::map<std::string, Forced, std::less<>>;
using RecordedVariants = std::map<std::string, std::string, std::less<>>;

ForcedVariants& forced_by_operation() {
  static ForcedVariants forced;
  return forced;
}

RecordedVariants& recorded_by_operation() {
  static RecordedVariants recorded;
  return recorded;
}

std::mutex forced_mutex;  // of `used` and `passed_over`
bool batch_invariant_mode = false;
std::optional<DType> excused_type;

// Calls body(operation's name, variant's name, "operation=variant") for each.
template <class Body>
void for_each_choice(std::string_view choices, const Body& body) {
  while (!choices.empty()) {
    const size_t comma = choices.find(',');
    const std::string_view choice = choices.substr(0, comma);
    const size_t equals = choice.find('=');
    check(equals != choice.npos, "--kernel ", choice, ": write it as operation=variant");
    body(choice.substr(0, equals), choice.substr(equals + 1), choice);
    choices = comma == choices.npos ? std::string_view() : choices.substr(comma + 1);
  }
}

void append_choice(std::string& choices, std::string_view operation, std::string_view variant) {
  choices += str(choices.empty() ? "" : ",", operation, "=", variant);
}

bool has_variant(const AnyOperation& operation, std::string_view name) {
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).name == name) return true;
  return false;
}

constexpr size_t devices = 3, types = 7;
size_t place(Device device, DType dtype) {
  return static_cast<size_t>(device) * types + static_cast<size_t>(dtype);
}

// An operation's variants for each device and element type, the highest priority first.
using Ranking = std::array<std::vector<size_t>, devices * types>;

const Ranking& ranking(const AnyOperation& operation) {
  thread_local std::unordered_map<const AnyOperation*, Ranking> rankings;
  const auto [found, is_new] = rankings.try_emplace(&operation);
  Ranking& ranked = found->second;
  if (!is_new) return ranked;
  for (size_t i = 0; i < operation.variant_count(); ++i)
    for (DType dtype : operation.variant(i).dtypes)
      ranked[place(operation.variant(i).device, dtype)].push_back(i);
  for (std::vector<size_t>& variants : ranked)
    std::stable_sort(variants.begin(), variants.end(), [&](size_t a, size_t b) {
      return operation.variant(a).priority > operation.variant(b).priority;
    });
  return ranked;
}

// Why the variants of one name cannot run, and whether one of them was built for the element type.
struct Refusal {
  std::string why_not;
  bool built = false;
};

// One question to selection.
struct Call {
  const AnyOperation& operation;
  const AnyArgs& args;
  DType dtype;
  Device device;

  // Of this name and device.
  std::optional<size_t> named(std::string_view name, Refusal* refusal = nullptr) const {
    for (size_t i = 0; i < operation.variant_count(); ++i) {
      const VariantInfo& variant = operation.variant(i);
      if (variant.device != device || variant.name != name) continue;
      std::string why_not = operation.supports(i, args);
      if (why_not.empty()) return i;
      if (refusal && !refusal->built) *refusal = {std::move(why_not), variant.takes(dtype)};
    }
    return std::nullopt;
  }

  // That chosen by something else than a person's word: batches stay as they were promised.
  std::optional<size_t> preferred(std::string_view name) const {
    const auto found = name.empty() ? std::nullopt : named(name);
    if (found && batch_invariant() && !operation.variant(*found).batch_invariant) return std::nullopt;
    return found;
  }

  std::optional<size_t> by_priority() const {
    for (size_t i : ranking(operation)[place(device, dtype)])
      if ((!batch_invariant() || operation.variant(i).batch_invariant) && operation.supports(i, args).empty())
        return i;
    return std::nullopt;
  }

  [[noreturn]] void fail_without_variant() const {
    std::string reasons;
    for (size_t i : ranking(operation)[place(device, dtype)])
      if (const std::string why_not = operation.supports(i, args); !why_not.empty())
        reasons += str(reasons.empty() ? " (" : "; ", operation.variant(i).name, ": ", why_not);
    fail("no kernel of ", operation.name(), " runs on ", device, " with elements of type ", dtype, reasons,
         reasons.empty() ? "" : ")");
  }
};

std::optional<size_t> use_forced(const Call& call, Forced& forced) {
  Refusal refusal;
  const auto found = call.named(forced.variant, &refusal);
  check(!refusal.built || found || excused_type == call.dtype, call.operation.name(), "=", forced.variant,
        " was forced but cannot run here: ", refusal.why_not);
  const std::lock_guard lock(forced_mutex);
  if (found)
    forced.used = true;
  else if (forced.passed_over.empty())
    forced.passed_over = refusal.why_not;
  return found;
}

}  // namespace

void force_variants(std::string_view choices) {
  for_each_choice(choices, [](std::string_view name, std::string_view variant, std::string_view choice) {
    const AnyOperation* operation = find_operation(name);
    check(operation != nullptr, "--kernel ", choice, ": there is no operation '", name,
          "'; 'tenon kernels' lists them");
    std::string known;
    for (size_t i = 0; i < operation->variant_count(); ++i)
      known += str(known.empty() ? "" : ", ", operation->variant(i).name);
    check(has_variant(*operation, variant), "--kernel ", choice, ": ", name, " has no variant '", variant,
          "'; it has ", known);
    forced_by_operation()[std::string(name)] = {std::string(variant), false, ""};
  });
}

void clear_forced_variants() {
  forced_by_operation().clear();
  recorded_by_operation().clear();
}

bool is_forced(std::string_view operation) { return forced_by_operation().contains(operation); }

std::string forced_variants() {
  std::string choices;
  for (const auto& [name, forced] : forced_by_operation()) append_choice(choices, name, forced.variant);
  return choices;
}

void check_forced_variants(Device device, std::span<const DType> dtypes) {
  for (const auto& [name, forced] : forced_by_operation()) {
    const AnyOperation* operation = find_operation(name);
    std::string devices, types;
    bool takes_one = dtypes.empty();
    for (size_t i = 0; i < operation->variant_count(); ++i) {
      const VariantInfo& info = operation->variant(i);
      if (info.name != forced.variant) continue;
      devices += str(devices.empty() ? "" : " and ", info.device);
      if (info.device != device) continue;
      for (DType each : info.dtypes) types += str(types.empty() ? "" : " and ", each);
      takes_one |= std::any_of(dtypes.begin(), dtypes.end(), [&](DType each) { return info.takes(each); });
    }
    check(devices.find(to_string(device)) != devices.npos, "--kernel ", name, "=", forced.variant,
          " cannot be had on ", device, ": that variant is for ", devices);
    check(takes_one, "--kernel ", name, "=", forced.variant, " takes elements of type ", types,
          ", which this precision does not use; give another --dtype, or leave --kernel out");
  }
}

void check_forced_variants_used() {
  const std::lock_guard lock(forced_mutex);
  for (const auto& [name, forced] : forced_by_operation())
    check(forced.used || forced.passed_over.empty(), "--kernel ", name, "=", forced.variant,
          " could not be used by any call of ", name, ": ", forced.passed_over);
}

std::string forced_without_a_call() {
  const std::lock_guard lock(forced_mutex);
  std::string choices;
  for (const auto& [name, forced] : forced_by_operation())
    if (!forced.used && forced.passed_over.empty()) append_choice(choices, name, forced.variant);
  return choices;
}

void may_pass_over_forced(std::optional<DType> dtype) { excused_type = dtype; }

std::string prefer_recorded_variants(std::string_view choices) {
  std::string lacked;
  for_each_choice(choices, [&](std::string_view name, std::string_view variant, std::string_view) {
    const AnyOperation* operation = find_operation(name);
    if (operation && has_variant(*operation, variant))
      recorded_by_operation()[std::string(name)] = variant;
    else
      append_choice(lacked, name, variant);
  });
  return lacked;
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

Choice select(const AnyOperation& operation, const AnyArgs& args, DType dtype, Device device) {
  const Call call{operation, args, dtype, device};
  if (const auto forced = forced_by_operation().find(operation.name()); forced != forced_by_operation().end())
    if (const auto found = use_forced(call, forced->second)) return {*found, Reason::forced};
  if (is_tuned(operation))
    if (const auto found = call.preferred(tuned_variant(operation, device, dtype, args.inputs, args.outputs)))
      return {*found, Reason::tuned};
  if (const auto recorded = recorded_by_operation().find(operation.name());
      recorded != recorded_by_operation().end())
    if (const auto found = call.preferred(recorded->second)) return {*found, Reason::recorded};
  if (const auto found = call.by_priority()) return {*found, Reason::priority};
  call.fail_without_variant();
}

bool detail::asks_for_views(const AnyOperation& operation) { return is_tuned(operation); }

void detail::no_variant(std::string_view operation, Device device) {
  fail("no kernel of ", operation, " runs on ", device, ": this build has none at all");
}

}  // namespace tenon
