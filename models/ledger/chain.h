// The model as it is used, from ids to the loss, with what it hands to watched() kept.
#pragma once
#include <map>

#include "models/ledger/measure.h"
#include "models/ledger/operation.h"
#include "models/ledger/oracle.h"

namespace tenon {

struct Chain {
  std::map<std::string, Shape> shapes;  // of every operation's output
  std::map<std::string, Values>
      values;  // by the operation's name; gradients of outputs and parameters as grad.NAME
};

// With gradients the loss is the oracle's, and the model runs as in training (without dropout); else it runs
// under Inference.
Chain run_chain(LedgerModel& model, const Oracle& oracle, const PackedBatch& batch, bool with_gradients);

}  // namespace tenon
