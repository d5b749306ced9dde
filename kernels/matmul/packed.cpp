// The blocked loops of the packed product (after Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008). A task is a block of rows times a range of panels of b. It packs its rows of a once
// into L2 and then goes panel by panel: the panel's part of y stays in L1 over all of K, so bias and
// activation are applied there.
#include "kernels/matmul/packed.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/base/memory.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"

namespace tenon {
namespace {

constexpr int64_t k_block = 384;                 // one block's panel of b and rows of a come from L1 and L2
constexpr int64_t a_block_elements = 128 << 10;  // of L2
constexpr int64_t b_block_elements = 4 << 20;    // of L3, for a second factor that is packed on the way
constexpr int64_t usual_rows = 168, most_rows = 224;
constexpr int64_t slack = 16;  // elements that transpose() may write beyond the end

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Part i of count nearly equal parts of total.
struct Part {
  int64_t begin, size;
};
Part part_of(int64_t total, int64_t count, int64_t i) {
  const int64_t size = total / count, longer = total % count;
  return {i * size + std::min(i, longer), size + (i < longer)};
}

// One pass over K: all of it, or the part for which there is room.
struct Pass {
  int64_t k0, k;        // of the whole K
  const float* panels;  // the packed b of the pass
  int64_t panel_stride;
  bool first, last;
};

class Blocks {
 public:
  Blocks(const PackedMatmul& product, const MicroKernels& kernels) : p_(product), kernels_(kernels) {}

  // The rows of a of one block: for each block of K, for each sliver of at most max_rows rows, (k, rows of
  // the sliver).
  void pack_rows(const Pass& pass, Part rows, float* out) const {
    const int64_t slivers = divide_up(rows.size, kernels_.max_rows);
    for (int64_t k = 0; k < pass.k; k += k_block) {
      const int64_t length = std::min(k_block, pass.k - k);
      // Transposed: few lines of a at a time, so that they stay in L1 and in the TLB for all slivers.
      // Otherwise a sliver at a time, since each overwrites the beginning of the next one.
      const int64_t most = p_.transpose_a ? 32 : length;
      for (int64_t step = 0; step < length; step += most) {
        const int64_t count = std::min(most, length - step);
        for (int64_t s = 0; s < slivers; ++s) {
          const Part sliver = part_of(rows.size, slivers, s);
          pack_sliver(rows.begin + sliver.begin, static_cast<int>(sliver.size), pass.k0 + k + step, count,
                      out + rows.size * k + sliver.begin * length + step * sliver.size);
        }
      }
    }
  }

  void multiply(const Pass& pass, Part rows, int64_t panel, const float* a) const {
    const int64_t slivers = divide_up(rows.size, kernels_.max_rows), column = panel * panel_columns;
    // Every sliver fetches its share of the next panel.
    const int next_lines = static_cast<int>(divide_up(prefetch_steps * panel_columns / 16, slivers));
    int64_t k = 0;
    do {
      const int64_t length = std::min(k_block, pass.k - k);
      for (int64_t s = 0; s < slivers; ++s) {
        const Part sliver = part_of(rows.size, slivers, s);
        const int64_t row = rows.begin + sliver.begin;
        const float* b = pass.panels + panel * pass.panel_stride + k * panel_columns;
        const bool last_of_panel = k + length == pass.k;
        const float* next =
            last_of_panel ? pass.panels + (panel + 1) * pass.panel_stride : b + length * panel_columns;
        const Tile tile{.a = a + rows.size * k + sliver.begin * length,
                        .b = b,
                        .next_b = next + s * length * panel_columns / slivers,
                        .next_lines = next_lines,
                        .k = length,
                        .y = p_.y + row * p_.y_stride + column,
                        .y_stride = p_.y_stride,
                        .rows = static_cast<int>(sliver.size),
                        .columns = static_cast<int>(std::min<int64_t>(panel_columns, p_.n - column)),
                        .beta = pass.first && k == 0 ? p_.beta : 1.0f};
        kernels_.multiply(tile);
        if (pass.last && last_of_panel) finish(tile, row, column);
      }
      k += k_block;
    } while (k < pass.k);
  }

 private:
  void pack_sliver(int64_t row, int rows, int64_t k, int64_t count, float* out) const {
    if (p_.transpose_a)
      kernels_.copy_rows(p_.a + k * p_.a_stride + row, p_.a_stride, rows, count, out);
    else
      kernels_.transpose(p_.a + row * p_.a_stride + k, p_.a_stride, rows, count, out, rows);
  }

  void finish(const Tile& tile, int64_t row, int64_t column) const {
    const auto at = [&](auto* base, int64_t stride) { return base ? base + row * stride + column : nullptr; };
    if (!p_.residual && !p_.pre_activation && p_.epilogue == Epilogue::none) return;
    kernels_.finish(tile, {.kind = p_.epilogue,
                           .bias = takes_bias(p_.epilogue) ? p_.bias + column : nullptr,
                           .residual = at(p_.residual, p_.residual_stride),
                           .residual_stride = p_.residual_stride,
                           .pre_activation = at(p_.pre_activation, p_.pre_activation_stride),
                           .pre_activation_stride = p_.pre_activation_stride});
  }

  const PackedMatmul& p_;
  const MicroKernels& kernels_;
};

// A thread's packed rows of a. Consecutive tasks of a thread mostly share their rows, which are then packed
// once.
struct Scratch {
  Buffer buffer;
  int64_t elements = 0;
  uint64_t pass = 0;
  int64_t block = 0;

  float* reserve(int64_t count) {
    if (count > elements) {
      buffer = Buffer();
      buffer = Buffer(Device::cpu, static_cast<size_t>(count) * sizeof(float));
      elements = count, pass = 0;
    }
    return buffer.as<float>();
  }
};

void for_each(int64_t count, bool serial, const std::function<void(int64_t)>& task) {
  if (!serial) return parallel(count, task);
  for (int64_t i = 0; i < count; ++i) task(i);
}

// The most rows of a block: so many that they fill their part of L2.
int64_t block_rows(int64_t k, int64_t max_rows) {
  return std::clamp(a_block_elements / std::max<int64_t>(k, 1), max_rows, most_rows);
}

void run_pass(const PackedMatmul& p, const MicroKernels& kernels, const Pass& pass, bool serial) {
  static std::atomic<uint64_t> passes{0};
  thread_local Scratch scratch;
  const Blocks blocks(p, kernels);
  const int64_t row_blocks = divide_up(p.m, block_rows(pass.k, kernels.max_rows));
  const int64_t panels = divide_up(p.n, panel_columns);
  // Enough tasks for an even split, but no more than that: a row block is packed by each thread that takes
  // part in it.
  const int64_t wanted = serial ? 1 : 16 * thread_count();
  const int64_t ranges = std::min(panels, divide_up(wanted, row_blocks));
  const uint64_t id = ++passes;
  for_each(row_blocks * ranges, serial, [&](int64_t task) {
    const int64_t block = task / ranges;
    const Part rows = part_of(p.m, row_blocks, block), range = part_of(panels, ranges, task % ranges);
    float* a = scratch.reserve(rows.size * pass.k + slack);
    if (scratch.pass != id || scratch.block != block) blocks.pack_rows(pass, rows, a);
    scratch.pass = id, scratch.block = block;
    for (int64_t i = 0; i < range.size; ++i) blocks.multiply(pass, rows, range.begin + i, a);
  });
}

// How much of K one pass takes: as much as leaves room for many rows of a in L2 and for all columns of b in
// L3. Few rows of a take all of K, since every pass waits for all threads.
int64_t pass_length(int64_t m, int64_t n, bool b_is_packed) {
  const int64_t most = std::max(k_block, a_block_elements / std::min(m, usual_rows) / k_block * k_block);
  if (b_is_packed) return most;
  const int64_t padded = divide_up(n, panel_columns) * panel_columns;
  return std::clamp(b_block_elements / padded / k_block * k_block, k_block, most);
}

// Rows k0 ... k0 + k of op(b), panel after panel.
void pack_part(const MicroKernels& kernels, const PackedMatmul& p, int64_t k0, int64_t k, float* out,
               bool serial) {
  constexpr int64_t group = 8;  // panels: 1 KB of a row of b at a time
  const int64_t panels = divide_up(p.n, panel_columns);
  for_each(divide_up(panels, group), serial, [&](int64_t task) {
    const int64_t first = task * group, end = std::min(first + group, panels);
    for (int64_t panel = first; panel < end; ++panel) {
      const int64_t columns = std::min<int64_t>(panel_columns, p.n - panel * panel_columns);
      float* target = out + panel * k * panel_columns;
      if (columns < panel_columns) std::fill_n(target, k * panel_columns, 0.0f);
      if (!p.transpose_b) continue;
      for (int64_t column = 0; column < columns; column += 16)
        kernels.transpose(p.b + (panel * panel_columns + column) * p.b_stride + k0, p.b_stride,
                          static_cast<int>(std::min<int64_t>(16, columns - column)), k, target + column,
                          panel_columns);
    }
    if (p.transpose_b) return;
    for (int64_t row = 0; row < k; ++row)
      for (int64_t panel = first; panel < end; ++panel) {
        const int64_t columns = std::min<int64_t>(panel_columns, p.n - panel * panel_columns);
        const float* source = p.b + (k0 + row) * p.b_stride + panel * panel_columns;
        float* target = out + (panel * k + row) * panel_columns;
        if (columns == panel_columns)
          std::memcpy(target, source, panel_columns * sizeof(float));
        else
          std::copy_n(source, columns, target);
      }
  });
}

}  // namespace

const MicroKernels& best_micro_kernels() {
  static const MicroKernels& best = has_avx512() ? avx512_micro_kernels
                                    : has_avx2() ? avx2_micro_kernels
                                                 : portable_micro_kernels;
  return best;
}

size_t packed_bytes(int64_t k, int64_t n) {
  return static_cast<size_t>(divide_up(n, panel_columns) * panel_columns * k) * sizeof(float);
}

void pack_b(const float* b, int64_t b_stride, bool transpose_b, int64_t k, int64_t n, float* out,
            bool serial) {
  const PackedMatmul p{.n = n, .k = k, .b = b, .b_stride = b_stride, .transpose_b = transpose_b};
  pack_part(best_micro_kernels(), p, 0, k, out, serial);
}

size_t packed_workspace(int64_t m, int64_t n, int64_t k, bool b_is_packed) {
  if (m == 0 || n == 0) return 0;
  const int64_t length = std::min(k, pass_length(m, n, b_is_packed));
  const int64_t rows = std::min(m, block_rows(length, 16));
  const size_t a =
      static_cast<size_t>(rows * length + slack) * sizeof(float) * static_cast<size_t>(thread_count());
  return a + (b_is_packed ? 0 : packed_bytes(length, n));
}

void packed_matmul(const PackedMatmul& p) {
  if (p.m == 0 || p.n == 0) return;
  const MicroKernels& kernels = p.kernels ? *p.kernels : best_micro_kernels();
  const bool serial = p.serial || p.m * p.n * p.k < (1 << 18);  // less than waking a thread takes
  const int64_t step = pass_length(p.m, p.n, p.b_packed);
  Buffer scratch;
  if (!p.b_packed) scratch = Buffer(Device::cpu, packed_bytes(std::min(step, p.k), p.n));
  int64_t k0 = 0;
  do {
    Pass pass{k0, std::min(step, p.k - k0), nullptr, 0, k0 == 0, k0 + step >= p.k};
    if (p.b_packed) {
      pass.panels = p.b_packed + k0 * panel_columns, pass.panel_stride = p.k * panel_columns;
    } else {
      pack_part(kernels, p, k0, pass.k, scratch.as<float>(), serial);
      pass.panels = scratch.as<float>(), pass.panel_stride = pass.k * panel_columns;
    }
    run_pass(p, kernels, pass, serial);
    k0 += step;
  } while (k0 < p.k);
}

}  // namespace tenon
