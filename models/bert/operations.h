// BERT's operations for a ledger (models/ledger), under the names of transformers' BertModel after "bert.".
#pragma once
#include "models/bert/config.h"
#include "models/ledger/operation.h"

namespace tenon {

std::vector<ModelOperation> bert_operations(const BertConfig& config, bool with_pooler);

}  // namespace tenon
