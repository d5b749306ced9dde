// The ledger: the error of every operation of a model against an oracle, forward and gradient, the first that
// differs, and the mistake that explains it.
//
// Each operation is measured twice: as the model runs it (the chain, where errors add up), and alone, on the
// oracle's own inputs and output gradient. What differs alone is where a difference begins.
#pragma once
#include <optional>

#include "models/ledger/operation.h"
#include "models/ledger/oracle.h"

namespace tenon {

// Largest |ours - oracle's|, as a share of the oracle's largest |value|; a gradient of a parameter is
// measured by the largest of its operation's parameters. Infinite where NaN is met; empty where there is
// nothing to compare.
struct LedgerErrors {
  std::optional<double> chain, alone;
  double allowed = 0;  // of `alone`: what rounding explains (docs/numerics.md)
  bool differs = false;
};

struct LedgerRow {
  std::string operation;
  LedgerErrors forward, gradient;  // the gradient's: the worst of the output's and the parameters'
};

struct LedgerDifference {
  std::string tensor;  // "bert.encoder.layer.0.intermediate" or "grad.…"
  double error, allowed;
  bool alone;            // or only in the chain: no operation differs by itself
  std::string side;      // whose values are not those of the operation: "the oracle", "tenon" or "both"
  std::string cause;     // of the suspects; empty if none explains it
  double remaining = 0;  // the error that is left with that cause
};

struct Ledger {
  std::vector<LedgerRow> rows;
  std::optional<LedgerDifference> first;
};

// In the precision that is set (engine/precision.h). Throws for an oracle that is not one of this model.
Ledger compare(LedgerModel& model, const Oracle& oracle, const PackedBatch& batch);

}  // namespace tenon
