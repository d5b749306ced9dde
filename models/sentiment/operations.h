// The published head's operations for a ledger (models/ledger): rnn.l0, …, rnn.last (the last states of both
// directions of the top layer, side by side), and out, the logits.
#pragma once
#include "models/ledger/operation.h"
#include "models/sentiment/sentiment.h"

namespace tenon {

// input: the operation whose output (T, H) the GRU reads.
std::vector<ModelOperation> head_operations(const SentimentConfig& config, const std::string& input);

}  // namespace tenon
