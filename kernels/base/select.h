// Run-time selection: a forced variant beats priority. What was chosen can be asked for afterwards, so that a
// run records it and a resumed one uses the same.
#pragma once
#include <map>
#include <string>

#include "kernels/base/registry.h"

namespace tenon {

// "op=variant", several separated by commas (--kernel, TENON_KERNEL). Throws if there is no such operation
// or variant, and says which there are. A forced variant that cannot run is an error where it is met; one
// that was written for another device or element type only does not concern the others.
void force_variants(std::string_view choices);
void clear_forced_variants();
bool is_forced(std::string_view operation);
// Throws for a forced variant that is none of this device.
void check_forced_variants(Device device);

// In this mode only variants are chosen whose result for a sequence does not depend on the rest of the batch.
void set_batch_invariant(bool on);
bool batch_invariant();

// "op.device" -> variants that were selected so far.
std::map<std::string, std::string> chosen_variants();

// The index of the variant to run for these arguments.
size_t select(const AnyOperation& operation, const AnyArgs& args, Device device);

namespace detail {
const std::string* forced(std::string_view operation);  // null if nothing is forced
[[noreturn]] void no_variant(std::string_view operation, Device device, DType dtype,
                             const std::string& reasons);
}  // namespace detail

template <Operation Op>
const Variant<Op>& select(const typename Op::Args& args, Device device) {
  const DType dtype = Op::dtype(args);
  const std::string* forced = detail::forced(Op::name);
  const Entry<Op>* best = nullptr;
  std::string reasons;
  for (const Entry<Op>& entry : entries<Op>()) {
    const auto& variant = entry.variant;
    if (variant.device != device || !entry.info->takes(dtype)) continue;
    const bool is_forced = forced && variant.name == *forced;
    if (!is_forced && best && best->variant.priority >= variant.priority) continue;
    if (batch_invariant() && !variant.batch_invariant && !is_forced) continue;
    std::string why_not;
    if (variant.available && !variant.available())
      why_not = "this machine lacks the instructions it uses";
    else if (variant.supports)
      why_not = variant.supports(args);
    if (is_forced) {
      check(why_not.empty(), Op::name, "=", variant.name, " was forced but cannot run here: ", why_not);
      best = &entry;
      break;
    }
    if (why_not.empty())
      best = &entry;
    else
      reasons += str(reasons.empty() ? "" : "; ", variant.name, ": ", why_not);
  }
  if (!best) detail::no_variant(Op::name, device, dtype, reasons);
  best->info->used.store(true, std::memory_order_relaxed);
  return best->variant;
}

// Whether any variant takes these elements on the device.
template <Operation Op>
bool has_variant(Device device, DType dtype) {
  for (const Entry<Op>& entry : entries<Op>())
    if (entry.variant.device == device && entry.info->takes(dtype)) return true;
  return false;
}

template <Operation Op>
void run(const typename Op::Args& args, Stream& stream) {
  select<Op>(args, stream.device()).run(args, stream);
}

}  // namespace tenon
