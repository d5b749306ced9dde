// The blocked loops of the packed product (after Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008). A thread packs a block of rows of a into L2 and then goes panel by panel of b: the
// panel's part of y stays in L1 over all of K, so bias and activation are applied there. Of bf16 factors the
// packed a is in fp32, b is in pairs, and a block of a panel is widened into L1 once for all slivers; where
// the processor has fast dot products of pairs, both stay pairs.
#include "kernels/matmul/packed.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/base/memory.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"

namespace tenon {
namespace {

constexpr int64_t k_block = 384;                 // one block's panel of b and rows of a come from L1 and L2
constexpr int64_t a_block_elements = 128 << 10;  // of L2
constexpr int64_t b_block_elements = 4 << 20;    // of L3, for a second factor that is packed on the way
constexpr int64_t least_rows = 112, usual_rows = 168, most_rows = 224;
constexpr int64_t slack = 16;       // elements that transpose() may write beyond the end
constexpr int64_t cache_line = 16;  // floats, which threads do not share

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
  float* sums = nullptr;  // (M, N) of bf16 factors, where there are several passes
};

template <class T>
constexpr bool narrow = std::is_same_v<T, bf16>;

// Places of a float, or of a pair, that k elements take along a panel of b, and along the packed a.
template <class T>
int64_t panel_steps(int64_t k) {
  return narrow<T> ? divide_up(k, 2) : k;
}
template <class T>
int64_t row_steps(const MicroKernelsOf<T>& kernels, int64_t k) {
  if constexpr (narrow<T>)
    return kernels.multiplies_pairs ? divide_up(k, 2) : k;
  else
    return k;
}

// A thread's packed rows of a; of bf16 factors also a widened block of a panel, and the sums of a panel.
struct Room {
  float *rows, *panel = nullptr, *sums = nullptr;
};

template <class T>
class Blocks {
 public:
  Blocks(const PackedProduct<T>& product, const MicroKernelsOf<T>& kernels)
      : p_(product), kernels_(kernels) {}

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
                      out + rows.size * steps(k) + sliver.begin * steps(length) + steps(step) * sliver.size);
        }
      }
    }
  }

  void multiply(const Pass& pass, Part rows, int64_t panel, const Room& room) const {
    const int64_t slivers = divide_up(rows.size, kernels_.max_rows), column = panel * panel_columns;
    int64_t k = 0;
    do {
      const int64_t length = std::min(k_block, pass.k - k), floats = panel_steps<T>(length) * panel_columns;
      const bool last_of_panel = k + length == pass.k;
      const float* b = pass.panels + panel * pass.panel_stride + panel_steps<T>(k) * panel_columns;
      const float* next = last_of_panel ? pass.panels + (panel + 1) * pass.panel_stride : b + floats;
      const float* factors = opened(b, panel_steps<T>(length), room);
      // Every sliver fetches its share of the next panel.
      const int64_t groups = divide_up(std::max<int64_t>(steps(length), 1), prefetch_steps) * slivers;
      const auto next_lines = static_cast<int>(divide_up(floats / 16, groups));
      for (int64_t s = 0; s < slivers; ++s) {
        const Part sliver = part_of(rows.size, slivers, s);
        const int64_t row = rows.begin + sliver.begin;
        Tile tile{.a = room.rows + rows.size * steps(k) + sliver.begin * steps(length),
                  .b = factors,
                  .next_b = next + s * floats / slivers,
                  .next_lines = next_lines,
                  .k = steps(length),
                  .y = nullptr,
                  .y_stride = 0,
                  .rows = static_cast<int>(sliver.size),
                  .columns = static_cast<int>(std::min<int64_t>(panel_columns, p_.n - column)),
                  .beta = 1};
        set_sums(tile, pass, row, column, room.sums + sliver.begin * panel_columns);
        if (pass.first && k == 0) tile.beta = narrow<T> ? 0 : p_.beta;
        kernels_.multiply(tile);
        if (pass.last && last_of_panel) finish(tile, row, column);
      }
      k += k_block;
    } while (k < pass.k);
  }

 private:
  int64_t steps(int64_t k) const { return row_steps<T>(kernels_, k); }

  // A block of a panel in the form in which it is multiplied.
  const float* opened(const float* b, int64_t steps, const Room& room) const {
    if constexpr (narrow<T>)
      if (!kernels_.multiplies_pairs) return kernels_.widen(b, steps, room.panel), room.panel;
    return b;
  }

  void set_sums(Tile& tile, const Pass& pass, int64_t row, int64_t column, float* own) const {
    if constexpr (!narrow<T>)
      tile.y = p_.y + row * p_.y_stride + column, tile.y_stride = p_.y_stride;
    else if (pass.sums)
      tile.y = pass.sums + row * p_.n + column, tile.y_stride = p_.n;
    else
      tile.y = own, tile.y_stride = panel_columns;
  }

  void pack_sliver(int64_t row, int rows, int64_t k, int64_t count, float* out) const {
    if (p_.transpose_a)
      kernels_.copy_rows(p_.a + k * p_.a_stride + row, p_.a_stride, rows, count, out);
    else
      kernels_.transpose(p_.a + row * p_.a_stride + k, p_.a_stride, rows, count, out, rows);
  }

  void finish(const Tile& tile, int64_t row, int64_t column) const {
    const auto at = [&](auto* base, int64_t stride) { return base ? base + row * stride + column : nullptr; };
    const TileEpilogue<T> epilogue{.kind = p_.epilogue,
                                   .bias = takes_bias(p_.epilogue) ? p_.bias + column : nullptr,
                                   .residual = at(p_.residual, p_.residual_stride),
                                   .residual_stride = p_.residual_stride,
                                   .pre_activation = at(p_.pre_activation, p_.pre_activation_stride),
                                   .pre_activation_stride = p_.pre_activation_stride};
    if constexpr (narrow<T>)
      kernels_.finish(tile, epilogue, p_.beta, at(p_.y, p_.y_stride), p_.y_stride);
    else if (p_.residual || p_.pre_activation || p_.epilogue != Epilogue::none)
      kernels_.finish(tile, epilogue);
  }

  const PackedProduct<T>& p_;
  const MicroKernelsOf<T>& kernels_;
};

// A block of rows, or of few rows a part of its panels: what one thread packs the rows for, and then goes
// through panel by panel, so that it reads b in order.
struct Share {
  Part rows;
  int64_t end;
  std::atomic<int64_t> next;  // the first panel that nobody has taken
};

class Shares {
 public:
  Shares(int64_t m, int64_t blocks, int64_t panels, int64_t threads)
      : shares_(static_cast<size_t>(blocks * divide_up(threads, blocks))) {
    const int64_t parts = divide_up(threads, blocks);
    for (int64_t i = 0; i < blocks * parts; ++i) {
      const Part range = part_of(panels, parts, i % parts);
      Share& share = shares_[static_cast<size_t>(i)];
      share.rows = part_of(m, blocks, i / parts);
      share.end = range.begin + range.size, share.next = range.begin;
    }
  }

  // Of one thread: pack(rows) before the first multiply(rows, panel) of a share. When all shares are taken it
  // helps with what is left of others', which means packing their rows once more.
  template <class Pack, class Multiply>
  void work(const Pack& pack, const Multiply& multiply) {
    for (size_t i; (i = untouched_++) < shares_.size();) finish(shares_[i], pack, multiply);
    for (Share& share : shares_)
      if (share.end - share.next >= worth_packing) finish(share, pack, multiply);
  }

 private:
  static constexpr int64_t worth_packing = 3;  // panels

  template <class Pack, class Multiply>
  static void finish(Share& share, const Pack& pack, const Multiply& multiply) {
    bool packed = false;
    for (int64_t panel; (panel = share.next++) < share.end;) {
      if (!packed) pack(share.rows);
      packed = true;
      multiply(share.rows, panel);
    }
  }

  std::vector<Share> shares_;
  std::atomic<size_t> untouched_{0};
};

// Room for the threads of a product, kept by the one that asks for it from product to product: what is taken
// of the memory does not depend on which thread came when.
struct Scratch {
  Buffer buffer;
  int64_t elements = 0;

  float* reserve(int64_t count) {
    if (count > elements) {
      buffer = Buffer();
      buffer = Buffer(Device::cpu, static_cast<size_t>(count) * sizeof(float));
      elements = count;
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

// An equal number of blocks for each thread, unless they would become too short.
int64_t count_blocks(int64_t m, int64_t most_rows_of_block, int64_t threads) {
  const int64_t fewest = divide_up(m, most_rows_of_block), even = divide_up(fewest, threads) * threads;
  return m / even >= least_rows ? even : fewest;
}

// Of one thread, for rows and k of one pass.
template <class T>
int64_t room_floats(int64_t rows, int64_t row_steps) {
  return rows * row_steps + slack + (narrow<T> ? (k_block + rows) * panel_columns : 0);
}

template <class T>
Room room_in(float* scratch, int64_t rows, int64_t row_steps) {
  if constexpr (!narrow<T>) return {scratch};
  float* panel = scratch + rows * row_steps + slack;
  return {scratch, panel, panel + k_block * panel_columns};
}

template <class T>
void run_pass(const PackedProduct<T>& p, const MicroKernelsOf<T>& kernels, const Pass& pass, bool serial) {
  thread_local Scratch scratch;
  const Blocks<T> blocks(p, kernels);
  const int64_t steps = row_steps<T>(kernels, pass.k);
  const int64_t threads = serial ? 1 : thread_count();
  const int64_t row_blocks = count_blocks(p.m, block_rows(steps, kernels.max_rows), threads);
  Shares shares(p.m, row_blocks, divide_up(p.n, panel_columns), threads);
  const int64_t room_size =
      divide_up(room_floats<T>(divide_up(p.m, row_blocks), steps), cache_line) * cache_line;
  float* const rooms = scratch.reserve(threads * room_size);
  for_each(threads, serial, [&](int64_t thread) {
    Room room{};
    shares.work(
        [&](const Part& rows) {
          room = room_in<T>(rooms + thread * room_size, rows.size, steps);
          blocks.pack_rows(pass, rows, room.rows);
        },
        [&](const Part& rows, int64_t panel) { blocks.multiply(pass, rows, panel, room); });
  });
}

// How much of K one pass takes: as much as leaves room for many rows of a in L2 and for all columns of b in
// L3. Few rows of a take all of K, since every pass waits for all threads.
int64_t pass_length(int64_t m, int64_t n, bool b_is_packed, int64_t threads) {
  const int64_t rows = std::min(m / threads >= least_rows ? divide_up(m, threads) : m, usual_rows);
  const int64_t most = std::max(k_block, a_block_elements / rows / k_block * k_block);
  if (b_is_packed) return most;
  const int64_t padded = divide_up(n, panel_columns) * panel_columns;
  return std::clamp(b_block_elements / padded / k_block * k_block, k_block, most);
}

void pack_columns(const MicroKernels& kernels, const float* b, int64_t b_stride, int columns, int64_t k,
                  float* out) {
  kernels.transpose(b, b_stride, columns, k, out, panel_columns);
}
void pack_columns(const Bf16MicroKernels& kernels, const bf16* b, int64_t b_stride, int columns, int64_t k,
                  float* out) {
  kernels.pair_transpose(b, b_stride, columns, k, out, panel_columns);
}
void pack_lines(const MicroKernels&, const float* b, int64_t, int64_t columns, int64_t, float* out) {
  std::copy_n(b, columns, out);
}
void pack_lines(const Bf16MicroKernels& kernels, const bf16* b, int64_t b_stride, int64_t columns, int64_t k,
                float* out) {
  kernels.pair_rows(b, b_stride, static_cast<int>(columns), k, out, panel_columns);
}

// Rows k0 ... k0 + k of op(b), panel after panel.
template <class T>
void pack_part(const MicroKernelsOf<T>& kernels, const PackedProduct<T>& p, int64_t k0, int64_t k, float* out,
               bool serial) {
  const int64_t panel_floats = panel_steps<T>(k) * panel_columns;
  constexpr int64_t group = 8;  // panels: 1 KB of a row of b at a time
  const int64_t panels = divide_up(p.n, panel_columns);
  for_each(divide_up(panels, group), serial, [&](int64_t task) {
    const int64_t first = task * group, end = std::min(first + group, panels);
    for (int64_t panel = first; panel < end; ++panel) {
      const int64_t columns = std::min<int64_t>(panel_columns, p.n - panel * panel_columns);
      float* target = out + panel * panel_floats;
      if (columns < panel_columns) std::fill_n(target, panel_floats, 0.0f);
      if (!p.transpose_b) continue;
      for (int64_t column = 0; column < columns; column += 16)
        pack_columns(kernels, p.b + (panel * panel_columns + column) * p.b_stride + k0, p.b_stride,
                     static_cast<int>(std::min<int64_t>(16, columns - column)), k, target + column);
    }
    if (p.transpose_b) return;
    constexpr int64_t lines = narrow<T> ? 2 : 1;  // of b that make one of the panel
    for (int64_t row = 0; row < k; row += lines)
      for (int64_t panel = first; panel < end; ++panel)
        pack_lines(kernels, p.b + (k0 + row) * p.b_stride + panel * panel_columns, p.b_stride,
                   std::min<int64_t>(panel_columns, p.n - panel * panel_columns), std::min(lines, k - row),
                   out + panel * panel_floats + row / lines * panel_columns);
  });
}

const MicroKernels& best_kernels(const PackedProduct<float>& p) {
  return p.kernels ? *p.kernels : best_micro_kernels();
}
const Bf16MicroKernels& best_kernels(const PackedProduct<bf16>& p) {
  return p.kernels ? *p.kernels : best_bf16_micro_kernels();
}

template <class T>
void multiply(const PackedProduct<T>& p) {
  if (p.m == 0 || p.n == 0) return;
  const MicroKernelsOf<T>& kernels = best_kernels(p);
  const bool serial = p.serial || p.m * p.n * p.k < (1 << 18);  // less than waking a thread takes
  const int64_t step = pass_length(p.m, p.n, p.b_packed, serial ? 1 : thread_count());
  Buffer scratch, sums;
  if (!p.b_packed) scratch = Buffer(Device::cpu, packed_bytes(std::min(step, p.k), p.n, dtype_of<T>));
  if (narrow<T> && step < p.k) sums = Buffer(Device::cpu, static_cast<size_t>(p.m * p.n) * sizeof(float));
  int64_t k0 = 0;
  do {
    Pass pass{k0, std::min(step, p.k - k0), nullptr, 0, k0 == 0, k0 + step >= p.k, sums.as<float>()};
    if (p.b_packed) {
      pass.panels = p.b_packed + panel_steps<T>(k0) * panel_columns;
      pass.panel_stride = panel_steps<T>(p.k) * panel_columns;
    } else {
      pack_part(kernels, p, k0, pass.k, scratch.as<float>(), serial);
      pass.panels = scratch.as<float>(), pass.panel_stride = panel_steps<T>(pass.k) * panel_columns;
    }
    run_pass(p, kernels, pass, serial);
    k0 += step;
  } while (k0 < p.k);
}

}  // namespace

const MicroKernels& best_micro_kernels() {
  static const MicroKernels& best = has_avx512() ? avx512_micro_kernels
                                    : has_avx2() ? avx2_micro_kernels
                                                 : portable_micro_kernels;
  return best;
}

const Bf16MicroKernels& best_bf16_micro_kernels() {
  static const Bf16MicroKernels& best = has_fast_bf16_dots() ? bf16_dot_micro_kernels
                                        : has_avx512()       ? avx512_bf16_micro_kernels
                                        : has_avx2()         ? avx2_bf16_micro_kernels
                                                             : portable_bf16_micro_kernels;
  return best;
}

size_t packed_bytes(int64_t k, int64_t n, DType dtype) {
  const int64_t steps = dtype == DType::bf16 ? panel_steps<bf16>(k) : k;
  return static_cast<size_t>(divide_up(n, panel_columns) * panel_columns * steps) * sizeof(float);
}

void pack_b(const float* b, int64_t b_stride, bool transpose_b, int64_t k, int64_t n, float* out,
            bool serial) {
  const PackedMatmul p{.n = n, .k = k, .b = b, .b_stride = b_stride, .transpose_b = transpose_b};
  pack_part(best_micro_kernels(), p, 0, k, out, serial);
}

void pack_b(const bf16* b, int64_t b_stride, bool transpose_b, int64_t k, int64_t n, float* out,
            bool serial) {
  const PackedProduct<bf16> p{.n = n, .k = k, .b = b, .b_stride = b_stride, .transpose_b = transpose_b};
  pack_part(best_bf16_micro_kernels(), p, 0, k, out, serial);
}

template <class T>
size_t packed_workspace(int64_t m, int64_t n, int64_t k, bool b_is_packed) {
  if (m == 0 || n == 0) return 0;
  const int64_t length = std::min(k, pass_length(m, n, b_is_packed, thread_count()));
  const int64_t rows = std::min(m, block_rows(length, 16));
  const size_t room =
      static_cast<size_t>(room_floats<T>(rows, length)) * sizeof(float) * static_cast<size_t>(thread_count());
  const size_t sums = narrow<T> && length < k ? static_cast<size_t>(m * n) * sizeof(float) : 0;
  return room + sums + (b_is_packed ? 0 : packed_bytes(length, n, dtype_of<T>));
}

template size_t packed_workspace<float>(int64_t m, int64_t n, int64_t k, bool b_is_packed);
template size_t packed_workspace<bf16>(int64_t m, int64_t n, int64_t k, bool b_is_packed);

void packed_matmul(const PackedProduct<float>& p) { multiply(p); }
void packed_matmul(const PackedProduct<bf16>& p) { multiply(p); }

}  // namespace tenon
