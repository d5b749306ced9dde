// What a ledger is made of: the BERT of a HuggingFace folder, or the whole model of a run.
#pragma once
#include "models/bert/config.h"
#include "models/ledger/ledger.h"
#include "models/sentiment/run_folder.h"

namespace tenon {

class LedgerSubject {
 public:
  // Parameters are named as in the published model ("bert.…") for both. Throws as load_encoder and load_run
  // do.
  LedgerSubject(const std::filesystem::path& folder, Device device, bool with_pooler);

  LedgerModel model;
  const BertConfig& config() const { return config_; }

 private:
  std::unique_ptr<Encoder> encoder_;  // one of the two
  std::unique_ptr<SentimentModel> whole_;
  BertConfig config_;
};

}  // namespace tenon
