// The sum of rows that go to the same place, which is the gradient of picking rows: the rows are put in the
// order of their targets, and every target is summed by one task, in their own order.
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/base/view.h"
#include "kernels/cpu/parallel.h"

namespace tenon::cpu {

// table[t] = sum of x[m] over index[m] == t, f32; an absent index is 0 throughout. Targets without rows
// become zero.
inline void scatter_rows(const float* x, int64_t rows, const TensorView& index, const TensorView& table) {
  const int64_t targets = table.shape[0], columns = table.shape[1];
  const auto target_of = [&](int64_t m) {
    return index.defined() ? static_cast<size_t>(index.as<int32_t>()[m]) : size_t{0};
  };
  std::vector<int64_t> starts(static_cast<size_t>(targets) + 1), order(static_cast<size_t>(rows));
  for (int64_t m = 0; m < rows; ++m) ++starts[target_of(m) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  for (int64_t m = 0; m < rows; ++m) order[static_cast<size_t>(next[target_of(m)]++)] = m;

  // A small table is cut by columns, too, so that there is work for every thread.
  const int64_t width = targets < 64 ? 64 : columns, height = 64;
  const int64_t across = (columns + width - 1) / width, down = (targets + height - 1) / height;
  parallel(across * down, [&](int64_t task) {
    const int64_t left = task % across * width, right = std::min(columns, left + width);
    const int64_t top = task / across * height, bottom = std::min(targets, top + height);
    for (int64_t target = top; target < bottom; ++target) {
      float* sum = table.as<float>() + target * columns;
      std::fill(sum + left, sum + right, 0.0f);
      for (int64_t i = starts[static_cast<size_t>(target)]; i < starts[static_cast<size_t>(target) + 1];
           ++i) {
        const float* row = x + order[static_cast<size_t>(i)] * columns;
        for (int64_t column = left; column < right; ++column) sum[column] += row[column];
      }
    }
  });
}

}  // namespace tenon::cpu
