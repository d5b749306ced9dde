#include "models/sentiment/ledger_subject.h"

#include "models/bert/operations.h"
#include "models/sentiment/operations.h"

namespace tenon {

LedgerSubject::LedgerSubject(const std::filesystem::path& folder, Device device, bool with_pooler) {
  const bool is_run = exists(folder / "model.json");
  if (is_run)
    whole_ = load_run(folder).model;
  else
    encoder_ = load_encoder(folder);
  config_ = BertConfig::read((is_run ? folder / "encoder" : folder) / "config.json");
  Module& module = is_run ? static_cast<Module&>(*whole_) : *encoder_;
  module.set_training(false);
  move_to(module, device);
  model.device = device;
  model.parameters = named_parameters(module, is_run ? "" : "bert.");
  model.operations = bert_operations(config_, with_pooler);
  if (!is_run) {
    model.run = [this](const PackedBatch& batch) { (*encoder_)(batch); };
    return;
  }
  model.run = [this](const PackedBatch& batch) { (*whole_)(batch); };
  const std::string states = str("bert.encoder.layer.", config_.num_hidden_layers - 1, ".output.LayerNorm");
  for (ModelOperation& operation : head_operations(whole_->config(), states))
    model.operations.push_back(std::move(operation));
}

}  // namespace tenon
