#include "models/sentiment/sentiment.h"

#include "engine/precision.h"
#include "engine/random.h"
#include "engine/watch.h"

namespace tenon {

SentimentModel::SentimentModel(std::unique_ptr<Encoder> encoder, const SentimentConfig& config)
    : encoder_(std::move(encoder)),
      config_(config),
      rnn_(encoder_->hidden_size(), config.hidden_size, config.num_layers, config.bidirectional,
           config.dropout, "rnn"),
      out_(config.hidden_size * (config.bidirectional ? 2 : 1), 1) {}

void SentimentModel::visit(Visitor& v) {
  v(encoder_->name(), *encoder_);
  v("rnn", rnn_);
  v("out", out_);
}

Tensor SentimentModel::head(const Tensor& features, const PackedBatch& batch) {
  const Tensor h_n = to_full_precision(rnn_(features, batch).h_n.back());  // (D, B, H)
  const int64_t sequences = batch.sequences, width = config_.hidden_size;
  const Tensor states = reshape(h_n, {rnn_.directions() * sequences, width});
  Tensor last = states;
  if (config_.bidirectional)
    last = concat_columns(slice_rows(states, 0, sequences), slice_rows(states, sequences, 2 * sequences));
  last = watched("rnn", ".last", last);
  if (training())
    last = dropout(last, batch.sequence_keys, {config_.dropout, random_key(operation_key("dropout"))});
  return watched("out", "", reshape(out_(last), {sequences}));
}

void SentimentModel::init_head(uint64_t seed) {
  rnn_.init(seed);
  out_.init(seed, "out");
}

}  // namespace tenon
