#include "kernels/attention/tiles.h"

#include <algorithm>

#include "kernels/cpu/dropout.h"

namespace tenon::attention {

std::vector<Task> tasks(const TensorView& cu_seqlens, int num_heads, int64_t rows_per_task) {
  std::vector<Task> all;
  const auto* offsets = cu_seqlens.as<int32_t>();
  for (int64_t sequence = 0; sequence + 1 < cu_seqlens.shape[0]; ++sequence) {
    const int64_t length = offsets[sequence + 1] - offsets[sequence];
    for (int64_t head = 0; head < num_heads; ++head)
      for (int64_t first = 0; first < length; first += rows_per_task)
        all.push_back(
            {sequence, head, offsets[sequence], length, first, std::min(rows_per_task, length - first)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Task& a, const Task& b) { return a.length * a.rows > b.length * b.rows; });
  return all;
}

template <class T>
void Tiles::pack_rows(const T* x, int64_t stride, int64_t rows, int64_t k, float* packed) const {
  for_each_group(rows, [&](int64_t first, int count) {
    of(x).transpose(x + first * stride, stride, count, k, packed + first * k, count);
  });
}

template <class T>
void Tiles::pack_columns(const T* x, int64_t stride, int64_t k, int64_t rows, float* packed) const {
  for_each_group(rows, [&](int64_t first, int count) {
    of(x).copy_rows(x + first, stride, count, k, packed + first * k);
  });
}

template <class T>
void Tiles::pack_panel(const T* x, int64_t stride, int64_t rows, int64_t k, float* panel) const {
  if (rows < block) std::fill_n(panel, k * block, 0.0f);
  for (int64_t first = 0; first < rows; first += 16)
    of(x).transpose(x + first * stride, stride, static_cast<int>(std::min<int64_t>(16, rows - first)), k,
                    panel + first, block);
}

void Tiles::multiply(const float* packed, const float* panel, int64_t rows, int64_t k, float* y,
                     int64_t y_stride, int64_t columns, float beta) const {
  for_each_group(rows, [&](int64_t first, int count) {
    kernels_.multiply({.a = packed + first * k,
                       .b = panel,
                       .next_b = panel,
                       .k = k,
                       .y = y + first * y_stride,
                       .y_stride = y_stride,
                       .rows = count,
                       .columns = static_cast<int>(columns),
                       .beta = beta});
  });
}

template <>
void Tiles::store_transposed(const float* x, int64_t columns, int64_t rows, bf16* y, int64_t y_stride) const {
  float line[block * 16 + 16];  // transposing writes whole vectors
  for (int64_t first = 0; first < columns; first += 16) {
    const auto count = static_cast<int>(std::min<int64_t>(16, columns - first));
    kernels_.transpose(x + first * block, block, count, rows, line, 16);
    for (int64_t row = 0; row < rows; ++row)
      for (int i = 0; i < count; ++i) y[row * y_stride + first + i] = bf16(line[row * 16 + i]);
  }
}

template <>
void Tiles::store_transposed(const float* x, int64_t columns, int64_t rows, float* y,
                             int64_t y_stride) const {
  for (int64_t first = 0; first < columns; first += 16) {
    const auto count = static_cast<int>(std::min<int64_t>(16, columns - first));
    // Only a full vector stays within its columns.
    const auto transpose = count == 16 ? kernels_.transpose : transpose_by_element;
    transpose(x + first * block, block, count, rows, y + first, y_stride);
  }
}

void factors_of_quad(const Dropout& dropout, uint64_t first_row_key, int64_t quad,
                     float (&factors)[4][block]) {
  const uint32_t threshold = dropout.threshold();
  const auto scale = static_cast<float>(dropout.scale());
  for (int64_t half = 0; half < block; half += cpu::lane_count) {
    uint64_t index[cpu::lane_count];
    uint32_t words[4][cpu::lane_count];
    for (int64_t lane = 0; lane < cpu::lane_count; ++lane)
      index[lane] = (first_row_key + attention_key(0, 0, static_cast<uint64_t>(half + lane))) / 4 +
                    static_cast<uint64_t>(quad);
    cpu::philox_lanes(dropout.key, index, words);
    for (int64_t w = 0; w < 4; ++w)
      for (int64_t lane = 0; lane < cpu::lane_count; ++lane)
        factors[w][half + lane] = words[w][lane] >= threshold ? scale : 0.0f;
  }
}

template void Tiles::pack_rows(const float*, int64_t, int64_t, int64_t, float*) const;
template void Tiles::pack_rows(const bf16*, int64_t, int64_t, int64_t, float*) const;
template void Tiles::pack_columns(const float*, int64_t, int64_t, int64_t, float*) const;
template void Tiles::pack_columns(const bf16*, int64_t, int64_t, int64_t, float*) const;
template void Tiles::pack_panel(const float*, int64_t, int64_t, int64_t, float*) const;
template void Tiles::pack_panel(const bf16*, int64_t, int64_t, int64_t, float*) const;

}  // namespace tenon::attention
