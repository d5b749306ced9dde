// In which order a fast variant walks a packed batch. Sequences are sorted by decreasing length, so that
// those which still have a row in a step are the first ones, and dealt out in turn to slices that advance
// side by side. A sequence's result does not depend on the slice that it is in.
#pragma once
#include <vector>

#include "kernels/base/view.h"

namespace tenon::gru {

struct Sequence {
  int64_t index;   // in the batch
  int64_t begin;   // first row
  int64_t length;  // rows

  // The row of a step of this sequence, 0 <= step < length.
  int64_t row(int64_t step, bool reverse) const { return reverse ? begin + length - 1 - step : begin + step; }
};

struct Slice {
  int direction = 0;
  std::vector<Sequence> sequences;  // by decreasing length

  int64_t size() const { return static_cast<int64_t>(sequences.size()); }
  int64_t steps() const { return sequences.empty() ? 0 : sequences.front().length; }
};

// At least one slice for each thread, the longest first. Every sequence of a direction is in one of them.
std::vector<Slice> slices(const TensorView& cu_seqlens, int directions);

// Asks for a row that the next step of its sequence will use: each is in a page of its own, where the
// processor does not look by itself.
inline void prefetch(const float* row, int64_t size) {
  constexpr int64_t floats_per_line = 16;
  for (int64_t i = 0; i < size; i += floats_per_line) __builtin_prefetch(row + i);
}

}  // namespace tenon::gru
