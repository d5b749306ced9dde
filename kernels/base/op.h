// What an operation states about itself: its contract. Each operation is a struct in kernels/<op>/<op>.h that
// satisfies the concept below; tests, benchmarks and selection read everything from it.
#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/stream.h"
#include "kernels/base/view.h"

namespace tenon {

struct NamedView {
  std::string_view name;
  TensorView* view;  // into the Args; an absent optional tensor has rank 0
};
using NamedViews = std::vector<NamedView>;

struct Cost {
  double flops = 0;
  double bytes = 0;  // compulsory traffic: every input read once, every output written once
};

// A variant passes if its error, as maximum and as root mean square of each row, is at most `factor` times
// that of the plain variant in the same precision, plus `floor` times the largest reference value of the row,
// plus `absolute`: for sums that may cancel, of inputs that are of size one.
struct Tolerance {
  double factor = 3;
  double floor = 0;
  double absolute = 0;
};

// One test case: Args whose views have shapes and element types but no memory yet. Floating inputs are
// filled with a normal distribution; `fill` (optional, memory is on the host) then puts in what is special
// to the case: lengths, ids, offsets, huge values.
template <class Args>
struct Case {
  std::string name;
  Args args;
  bool large = false;  // too slow for simt: tested on fast devices, and benchmarked
  std::function<void(Args&)> fill = nullptr;
};

// Floating views of the Args must all accept f64: the plain variant in f64 is the reference.
template <class Op>
concept Operation = requires(typename Op::Args& args, const typename Op::Args& fixed, DType dtype) {
  { Op::name } -> std::convertible_to<std::string_view>;
  { Op::inputs(args) } -> std::same_as<NamedViews>;
  { Op::outputs(args) } -> std::same_as<NamedViews>;     // views that are read and written stand in both
  { Op::dtypes() } -> std::same_as<std::vector<DType>>;  // element types that cases() makes
  { Op::dtype(fixed) } -> std::same_as<DType>;           // the one that selection goes by
  { Op::cases(dtype) } -> std::same_as<std::vector<Case<typename Op::Args>>>;
  { Op::cost(fixed) } -> std::same_as<Cost>;
  { Op::tolerance(dtype) } -> std::same_as<Tolerance>;
};

// Operations that have a gradient say by which operation: `static constexpr std::string_view backward = "…"`.
template <class Op>
constexpr std::string_view backward_of() {
  if constexpr (requires { Op::backward; })
    return Op::backward;
  else
    return "";
}

template <Operation Op>
struct Variant {
  using Args = typename Op::Args;

  std::string_view name;
  Device device = Device::cpu;
  int priority = 0;  // the highest that supports the arguments is chosen
  std::vector<DType> dtypes;
  bool deterministic = true;
  bool batch_invariant = true;  // a sequence's result has the same bits whatever else is in the batch
  size_t (*workspace)(const Args&) = nullptr;      // bytes of scratch it takes; null: none
  std::string (*supports)(const Args&) = nullptr;  // empty, or why it cannot run; null: always
  bool (*available)() = nullptr;                   // whether this machine can run it; null: always
  void (*run)(const Args&, Stream&) = nullptr;
};

}  // namespace tenon
