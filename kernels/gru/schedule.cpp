#include "kernels/gru/schedule.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tenon::gru {

std::vector<Slice> slices(const TensorView& cu_seqlens, int directions) {
  const auto* offsets = cu_seqlens.as<int32_t>();
  std::vector<Sequence> sequences;
  for (int64_t b = 0; b + 1 < cu_seqlens.shape[0]; ++b)
    sequences.push_back({b, offsets[b], offsets[b + 1] - offsets[b]});
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const Sequence& a, const Sequence& b) { return a.length > b.length; });
  const int count = (thread_count() + directions - 1) / directions;
  std::vector<Slice> result(static_cast<size_t>(count * directions));
  for (size_t i = 0; i < result.size(); ++i) result[i].direction = static_cast<int>(i) % directions;
  for (size_t i = 0; i < sequences.size(); ++i)
    for (int d = 0; d < directions; ++d)
      result[i % static_cast<size_t>(count) * static_cast<size_t>(directions) + static_cast<size_t>(d)]
          .sequences.push_back(sequences[i]);
  return result;
}

}  // namespace tenon::gru
