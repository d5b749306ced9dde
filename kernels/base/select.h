// Run-time selection. A forced variant (--kernel, TENON_KERNEL) beats the table of tuned ones (tuned.h),
// which beats what a resumed run recorded, which beats priority. What was chosen can be asked for afterwards,
// so that a run records it and a resumed one uses the same.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>

#include "kernels/base/profile.h"
#include "kernels/base/registry.h"

namespace tenon {

// "op=variant", several separated by commas. Throws if there is no such operation or variant, and says which
// there are. Where a forced variant cannot run it is an error that says why, with two exceptions: another
// device or element type than it was written for, and a type that may_pass_over_forced().
void force_variants(std::string_view choices);
void clear_forced_variants();  // and what was recorded
bool is_forced(std::string_view operation);
std::string forced_variants();  // "op=variant,…"

// Throws for a forced variant that is none of this device, or takes none of these element types.
void check_forced_variants(Device device, std::span<const DType> dtypes = {});
// Throws for a forced variant that none of its operation's calls so far could use, and says why not.
void check_forced_variants_used();
std::string forced_without_a_call();  // "op=variant,…" of those whose operation has not run
// In a mixed-precision run: calls in this element type go by the table or priority where a forced variant
// cannot take them.
void may_pass_over_forced(std::optional<DType> dtype);

// "op=variant,…" of a run that is resumed: preferred to priority wherever they can run. Returns those that
// this build lacks.
std::string prefer_recorded_variants(std::string_view choices);

// In this mode only variants are chosen whose result for a sequence does not depend on the rest of the batch.
void set_batch_invariant(bool on);
bool batch_invariant();

// "op.device" -> variants that were selected so far.
std::map<std::string, std::string> chosen_variants();

enum class Reason : uint8_t { forced, tuned, recorded, priority };
struct Choice {
  size_t variant;  // its index in the operation
  Reason reason;
};
// The variant to run for these arguments; dtype is Op::dtype() of them. Throws if there is none.
Choice select(const AnyOperation& operation, const AnyArgs& args, DType dtype, Device device);

namespace detail {
bool asks_for_views(const AnyOperation& operation);  // whether selection reads the views in AnyArgs
[[noreturn]] void no_variant(std::string_view operation, Device device);
}  // namespace detail

template <Operation Op>
const Variant<Op>& select(const typename Op::Args& args, Device device) {
  using Args = typename Op::Args;
  static const AnyOperation* const operation = find_operation(Op::name);
  if (!operation) detail::no_variant(Op::name, device);
  auto* lent = const_cast<Args*>(&args);  // AnyArgs is also made for callers that fill theirs; select() reads
  AnyArgs any{std::shared_ptr<void>(std::shared_ptr<void>(), lent), {}, {}};
  if (detail::asks_for_views(*operation)) {
    any.inputs = Op::inputs(*lent);
    any.outputs = Op::outputs(*lent);
  }
  const size_t chosen = select(*operation, any, Op::dtype(args), device).variant;
  const Entry<Op>& entry = entries<Op>()[chosen];
  entry.info->used.store(true, std::memory_order_relaxed);
  return entry.variant;
}

// Whether any variant takes these elements on the device.
template <Operation Op>
bool has_variant(Device device, DType dtype) {
  for (const Entry<Op>& entry : entries<Op>())
    if (entry.variant.device == device && entry.info->takes(dtype)) return true;
  return false;
}

// Apart from run(), which stays as small as it is without.
template <Operation Op>
[[gnu::noinline]] void run_profiled(const Variant<Op>& variant, const typename Op::Args& args,
                                    Stream& stream) {
  const OperationSpan span(Op::name, variant.name, Op::dtype(args), stream.device(),
                           cost_by_host<Op>(args, stream.device()));
  variant.run(args, stream);
}

template <Operation Op>
void run(const typename Op::Args& args, Stream& stream) {
  const Variant<Op>& variant = select<Op>(args, stream.device());
  if (profiling()) [[unlikely]]
    return run_profiled<Op>(variant, args, stream);
  variant.run(args, stream);
}

}  // namespace tenon
