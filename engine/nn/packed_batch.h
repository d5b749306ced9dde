// A batch of B sequences without padding: T rows, and where each sequence begins.
#pragma once
#include <vector>

#include "engine/tensor.h"

namespace tenon {

struct PackedBatch {
  Tensor input_ids;   // (T) i32; undefined for a batch of cached features
  Tensor positions;   // (T) i32: place within the own sequence
  Tensor cu_seqlens;  // (B + 1) i32
  Tensor row_keys;    // (T) i64: row_key(sequence, position), for dropout on rows
  int max_seqlen = 0;
  int64_t sequences = 0, tokens = 0;
  int64_t first_sequence = 0;  // number of the first sequence within an optimiser step

  // The rows of the sequences themselves, for dropout on (B, C): row_key(sequence, 0).
  Tensor sequence_keys;  // (B) i64

  // Lengths of the sequences, from 1 up. `first_sequence` numbers them within an optimiser step, so that the
  // parts of an accumulated batch draw the masks that the whole batch would.
  static PackedBatch of_lengths(const std::vector<int64_t>& lengths, int64_t first_sequence = 0);
  static PackedBatch of_ids(const std::vector<std::vector<int32_t>>& sequences, int64_t first_sequence = 0);
  PackedBatch to(Device device) const;
};

}  // namespace tenon
