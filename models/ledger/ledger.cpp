#include "models/ledger/ledger.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/precision.h"
#include "models/ledger/chain.h"
#include "models/ledger/isolated.h"

namespace tenon {
namespace {

// Rounding unit of an operation's kernel in the precision that is set.
double unit_of(const ModelOperation& operation) {
  if (precision() == Precision::bf16 && !operation.full_precision) return unit_bf16;
  return precision() == Precision::tf32 && operation.is_product ? unit_tf32 : unit_fp32;
}

// What the chain may be off by, as a share of the largest value: docs/numerics.md.
double allowed_in_chain() {
  return precision() == Precision::fp32 ? 5e-5 : precision() == Precision::tf32 ? 3e-2 : 0.2;
}

// Ours, the reference's and the oracle's values of one tensor.
struct Comparison {
  std::string tensor;
  Values ours, oracle;
  Reference reference;
  double unit = unit_fp32;  // the largest of the kernels that made it
  int64_t columns = 1;

  double error() const { return largest_difference(ours, oracle); }
  bool differs() const { return !(error() <= reference.allowed(unit)); }
  bool oracle_is_off() const {
    return !(largest_difference(oracle, reference.exact) <= reference.allowed(unit_fp32));
  }
  bool we_are_off() const { return !(largest_difference(ours, reference.exact) <= reference.allowed(unit)); }
};

class Comparer {
 public:
  Comparer(LedgerModel& model, const Oracle& oracle, const PackedBatch& batch)
      : model_(model), oracle_(oracle), batch_(batch), with_gradients_(oracle.has_gradients()) {}

  Ledger run() {
    find_wanted_gradients();
    chain_ = run_chain(model_, oracle_, batch_, with_gradients_);
    for (size_t i = 0; i < model_.operations.size(); ++i) compare_alone(i);
    for (size_t i = model_.operations.size(); i-- > 0;) compare_gradients(i);
    oracle_.check_all_were_used();
    find_first_in_chain();
    return std::move(ledger_);
  }

 private:
  // Which outputs have a gradient: those in the loss, and those that lead there.
  void find_wanted_gradients() {
    if (!with_gradients_) return;
    for (size_t i = model_.operations.size(); i-- > 0;) {
      const ModelOperation& operation = model_.operations[i];
      if (oracle_.has("loss." + operation.name)) wanted_.insert(operation.name);
      if (wanted_.contains(operation.name)) wanted_.insert(operation.inputs.begin(), operation.inputs.end());
    }
    check(!wanted_.empty(), oracle_.path(),
          " has gradients, but no loss.NAME for an output of this model that would say of which loss; was it "
          "dumped from another model?");
  }

  Isolated isolated(const ModelOperation& operation) const {
    Isolated alone(operation, model_, oracle_, batch_, chain_.shapes);
    if (wanted_.contains(operation.name))
      alone.set_output_gradient(oracle_.tensor("grad." + operation.name, chain_.shapes.at(operation.name)));
    return alone;
  }

  void compare_alone(size_t index) {
    const ModelOperation& operation = model_.operations[index];
    LedgerRow& row = ledger_.rows.emplace_back(LedgerRow{operation.name, {}, {}});
    const Isolated alone = isolated(operation);
    const Isolated::Results ours = alone.ours(), exact = alone.exact(operation.formula),
                            other = alone.perturbed();
    const Comparison forward{operation.name,
                             values_of(ours.y),
                             values_of(oracle_.tensor(operation.name, chain_.shapes.at(operation.name))),
                             {values_of(exact.y), values_of(other.y), operation.is_product},
                             unit_of(operation),
                             chain_.shapes.at(operation.name)[-1]};
    note(row.forward, forward, largest(forward.oracle));
    if (forward.differs() && !ledger_.first) ledger_.first = explain(forward, {&operation});
    if (!wanted_.contains(operation.name)) return;
    for (const std::string& input : operation.inputs) {
      GradientSum& sum = sums_[input];
      accumulate(sum.ours, ours.gradients.at(input));
      accumulate(sum.reference.exact, exact.gradients.at(input));
      accumulate(sum.reference.perturbed, other.gradients.at(input));
      sum.unit = std::max(sum.unit, unit_of(operation));
      sum.consumers.push_back(&operation);
    }
    compare_parameters(operation, row, ours, exact, other);
  }

  void compare_parameters(const ModelOperation& operation, LedgerRow& row, const Isolated::Results& ours,
                          const Isolated::Results& exact, const Isolated::Results& other) {
    double scale = 0;
    std::vector<Comparison> all;
    for (const std::string& name : operation.parameters) {
      const Shape& shape = model_.parameter(name).shape();
      all.push_back({"grad." + name,
                     ours.gradients.at(name),
                     values_of(oracle_.tensor("grad." + name, shape)),
                     {exact.gradients.at(name), other.gradients.at(name), true},
                     unit_of(operation),
                     shape[-1]});
      scale = std::max(scale, largest(all.back().oracle));
    }
    for (const Comparison& one : all) {
      note(row.gradient, one, scale);
      if (one.differs() && !ledger_.first) differing_parameters_.try_emplace(operation.name, one);
    }
  }

  // In the order of backward(): the first that differs is where a wrong gradient begins.
  void compare_gradients(size_t index) {
    const ModelOperation& operation = model_.operations[index];
    if (!wanted_.contains(operation.name)) return;
    const Shape& shape = chain_.shapes.at(operation.name);
    GradientSum& sum = sums_[operation.name];
    if (const std::string loss = "loss." + operation.name; oracle_.has(loss)) {
      const Values term = values_of(oracle_.tensor(loss, shape));
      accumulate(sum.ours, term);
      accumulate(sum.reference.exact, term);
      accumulate(sum.reference.perturbed, term);
    }
    const Comparison gradient{"grad." + operation.name,
                              std::move(sum.ours),
                              values_of(oracle_.tensor("grad." + operation.name, shape)),
                              std::move(sum.reference),
                              sum.unit,
                              shape[-1]};
    note(ledger_.rows[index].gradient, gradient, largest(gradient.oracle));
    if (gradient.differs() && !ledger_.first) ledger_.first = explain(gradient, sum.consumers);
    const auto found = differing_parameters_.find(operation.name);
    if (!ledger_.first && found != differing_parameters_.end())
      ledger_.first = explain(found->second, {&operation});
  }

  // Adds a comparison to one side of a row, which keeps the worst.
  void note(LedgerErrors& errors, const Comparison& one, double scale) {
    if (!(scale > 0)) scale = 1;
    const auto worst = [](std::optional<double>& kept, double error) {
      kept = kept && !(error > *kept) ? *kept : error;
    };
    worst(errors.alone, one.error() / scale);
    errors.allowed = std::max(errors.allowed, one.reference.allowed(one.unit) / scale);
    errors.differs |= one.differs();
    const auto found = chain_.values.find(one.tensor);
    if (found != chain_.values.end())
      worst(errors.chain, largest_difference(found->second, one.oracle) / scale);
  }

  // With no operation that differs alone, the model puts them together in another way, or a fused kernel is
  // wrong.
  void find_first_in_chain() {
    const auto check_side = [&](LedgerRow& row, LedgerErrors LedgerRow::*side, const char* prefix) {
      LedgerErrors& errors = row.*side;
      if (!errors.chain || *errors.chain <= allowed_in_chain()) return;
      errors.differs = true;
      if (!ledger_.first)
        ledger_.first = {prefix + row.operation, *errors.chain, allowed_in_chain(), false, "tenon", "", 0};
    };
    if (ledger_.first) return;
    for (LedgerRow& row : ledger_.rows) check_side(row, &LedgerRow::forward, "");
    for (size_t i = ledger_.rows.size(); i-- > 0;) check_side(ledger_.rows[i], &LedgerRow::gradient, "grad.");
  }

  // Tries the suspects of the operations that made the tensor, on the side that departs from fp64.
  LedgerDifference explain(const Comparison& one, const std::vector<const ModelOperation*>& makers) const {
    const double scale = std::max(largest(one.reference.exact), largest(one.oracle));
    const bool oracle = one.oracle_is_off(), ours = one.we_are_off();
    LedgerDifference difference{one.tensor,
                                one.error() / scale,
                                one.reference.allowed(one.unit) / scale,
                                true,
                                oracle && ours ? "both"
                                : ours         ? "tenon"
                                               : "the oracle",
                                "",
                                0};
    const Values& found = ours && !oracle ? one.ours : one.oracle;
    Explanation best = explain_by_numbers(found, one.reference, one.columns);
    if (best.cause.empty()) best = best_suspect(one, found, makers);
    const double error = largest_difference(found, one.reference.exact);
    constexpr double explained = 0.1;  // share of the error that a cause may leave
    if (!(best.remaining <= explained * error)) return difference;
    difference.cause = best.cause;
    difference.remaining = best.remaining / scale;
    return difference;
  }

  Explanation best_suspect(const Comparison& one, const Values& found,
                           const std::vector<const ModelOperation*>& makers) const {
    Explanation best{"", INFINITY};
    const auto consider = [&](const std::string& cause, const Values& values) {
      if (values.size() != found.size()) return;
      const double remaining = largest_difference(values, found);
      if (remaining < best.remaining) best = {cause, remaining};
    };
    const bool is_gradient = one.tensor.starts_with("grad.");
    const std::string of = is_gradient ? one.tensor.substr(5) : "";
    for (const ModelOperation* maker : makers) {
      const Isolated alone = isolated(*maker);
      Values rest;  // the gradient less this maker's share
      if (is_gradient) {
        const Values share = alone.exact(maker->formula).gradients.at(of);
        rest = one.reference.exact;
        for (size_t i = 0; i < rest.size(); ++i) rest[i] -= share[i];
        consider(str("no gradient comes back through ", maker->name), rest);
      }
      for (const Suspect& suspect : maker->suspects) {
        const Isolated::Results results = alone.exact(suspect.formula);
        if (!results.y.defined()) continue;
        if (!is_gradient) {
          consider(suspect.cause, values_of(results.y));
        } else if (const auto gradient = results.gradients.find(of); gradient != results.gradients.end()) {
          Values total = rest;
          accumulate(total, gradient->second);
          consider(str("in ", maker->name, ", ", suspect.cause), total);
        }
      }
    }
    return best;
  }

  struct GradientSum {
    Values ours;
    Reference reference{.has_long_sums = true};
    double unit = unit_fp32;
    std::vector<const ModelOperation*> consumers;
  };

  LedgerModel& model_;
  const Oracle& oracle_;
  const PackedBatch& batch_;
  bool with_gradients_;
  std::set<std::string> wanted_;
  Chain chain_;
  std::map<std::string, GradientSum> sums_;
  std::map<std::string, Comparison> differing_parameters_;  // the first of each operation
  Ledger ledger_;
};

}  // namespace

Ledger compare(LedgerModel& model, const Oracle& oracle, const PackedBatch& batch) {
  return Comparer(model, oracle, batch).run();
}

}  // namespace tenon
