#include "engine/nn/packed_batch.h"

#include <algorithm>

#include "kernels/base/philox.h"
#include "kernels/base/profile.h"

namespace tenon {

PackedBatch PackedBatch::of_lengths(const std::vector<int64_t>& lengths, int64_t first_sequence) {
  PackedBatch batch;
  batch.sequences = static_cast<int64_t>(lengths.size());
  batch.first_sequence = first_sequence;
  std::vector<int32_t> offsets{0}, positions;
  std::vector<int64_t> rows, sequences;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto sequence = static_cast<uint64_t>(first_sequence) + s;
    sequences.push_back(static_cast<int64_t>(row_key(sequence, 0)));
    for (int64_t p = 0; p < lengths[s]; ++p) {
      positions.push_back(static_cast<int32_t>(p));
      rows.push_back(static_cast<int64_t>(row_key(sequence, static_cast<uint64_t>(p))));
    }
    offsets.push_back(static_cast<int32_t>(positions.size()));
    batch.max_seqlen = std::max(batch.max_seqlen, static_cast<int>(lengths[s]));
  }
  batch.tokens = static_cast<int64_t>(positions.size());
  batch.positions = Tensor::from(positions);
  batch.cu_seqlens = Tensor::from(offsets);
  batch.row_keys = Tensor::from(rows);
  batch.sequence_keys = Tensor::from(sequences);
  return batch;
}

PackedBatch PackedBatch::of_ids(const std::vector<std::vector<int32_t>>& sequences, int64_t first_sequence) {
  std::vector<int64_t> lengths;
  std::vector<int32_t> ids;
  for (const auto& sequence : sequences) {
    lengths.push_back(static_cast<int64_t>(sequence.size()));
    ids.insert(ids.end(), sequence.begin(), sequence.end());
  }
  PackedBatch batch = of_lengths(lengths, first_sequence);
  batch.input_ids = Tensor::from(ids);
  return batch;
}

PackedBatch PackedBatch::to(Device device) const {
  PackedBatch moved = *this;
  for (Tensor* tensor :
       {&moved.input_ids, &moved.positions, &moved.cu_seqlens, &moved.row_keys, &moved.sequence_keys})
    if (tensor->defined()) *tensor = tensor->to(device);
  if (profiling() && device != cu_seqlens.device())
    remember_on_host(moved.cu_seqlens.data(), cu_seqlens.to_vector<int32_t>());
  return moved;
}

}  // namespace tenon
