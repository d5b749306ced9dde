// The sum of rows that go to the same place, from sorted indices: every row of the table has one owner, and
// nothing is added in an order that depends on the schedule.
//
// The sort is a counting sort by the index itself. A warp takes 256 rows in their order (more, where there
// would be over 128 warps) and counts for each index how often it has met it; sums over the warps and over
// the table then give each row its place. That takes warps x table words of memory, and the time to pass over
// it.
//
// The sorted rows are cut into pieces of about the square root of their number. A thread adds up the rows of
// a piece for the columns of one vector; a sum that begins or ends outside the piece goes to scratch memory.
// A last launch adds those up in order, and clears the rows that nothing goes to. Bound by memory bandwidth:
// x is read once, the table is written once.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/base/memory.h"
#include "kernels/base/view.h"
#include "kernels/elementwise/map.h"
#include "kernels/gather_rows/checked_index.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int sort_threads = 128, scan_threads = 1024;
inline constexpr int64_t least_share = 256, most_shares = 128;  // rows of a warp; warps

template <class Index>
struct RowSort {
  const Index* index;
  int64_t rows, targets, share;
  int32_t* counts;           // (shares, targets): how often the shares before have each index
  int32_t* ranks;            // (rows): of a row among those of its share with the same index
  int32_t* starts;           // (targets + 1): first place of each index
  int32_t *order, *sources;  // (rows): by place, the row and its index
  IndexKind kind;
  IndexFault* fault;

  __device__ int64_t index_of(int64_t row) const {
    return checked_index(fault, kind, index[row], row, targets);
  }
};

template <class Index>
__global__ void clear_counts(RowSort<Index> sort, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * sort_threads + thread_number();
  if (i < size) sort.counts[i] = 0;
}

// Counts the indices of a share; a row's rank is the count before it.
template <class Index>
__global__ void __launch_bounds__(warp_size) rank_rows(RowSort<Index> sort) {
  int32_t* counts = sort.counts + blockIdx.x * sort.targets;
  const int64_t begin = blockIdx.x * sort.share, past = begin + sort.share;
  const int64_t end = past < sort.rows ? past : sort.rows;
  for (int64_t first = begin; first < end; first += warp_size) {
    const int64_t row = first + lane_number();
    const int32_t own = row < end ? static_cast<int32_t>(sort.index_of(row)) : -1;
    uint32_t peers = 0;  // lanes with the same index
    for (int lane = 0; lane < warp_size; ++lane)
      peers |= static_cast<uint32_t>(shuffle(own, lane) == own) << lane;
    const uint32_t lower = peers & ((1u << lane_number()) - 1);
    const int32_t before = own >= 0 ? counts[own] : 0;
    if (own >= 0) sort.ranks[row] = before + count_lanes(lower);
    sync_warp();  // all have read what one of them is about to change
    if (own >= 0 && lower == 0) counts[own] = before + count_lanes(peers);
    sync_warp();
  }
}

// One thread, one index: its counts become those of the shares before, and their sum goes to starts.
template <class Index>
__global__ void add_shares(RowSort<Index> sort, int64_t shares) {
  const int64_t target = int64_t{blockIdx.x} * sort_threads + thread_number();
  if (target >= sort.targets) return;
  int32_t sum = 0;
  for (int64_t share = 0; share < shares; ++share) {
    int32_t& count = sort.counts[share * sort.targets + target];
    const int32_t own = count;
    count = sum;
    sum += own;
  }
  sort.starts[target] = sum;
}

struct ScanSmem {
  int32_t sums[scan_threads];
};

// One block: starts[t] becomes the sum of those before it.
template <class Index>
__global__ void __launch_bounds__(scan_threads) scan_starts(RowSort<Index> sort) {
  auto& smem = shared<ScanSmem>();
  const int thread = thread_number();
  const int64_t part = (sort.targets + scan_threads - 1) / scan_threads;
  const int64_t begin = thread * part, past = begin + part;
  const int64_t end = past < sort.targets ? past : sort.targets;
  int32_t own = 0;
  for (int64_t i = begin; i < end; ++i) own += sort.starts[i];
  smem.sums[thread] = own;
  sync_threads();
  for (int distance = 1; distance < scan_threads; distance *= 2) {  // Hillis and Steele (1986)
    const int32_t before = thread >= distance ? smem.sums[thread - distance] : 0;
    sync_threads();
    smem.sums[thread] += before;
    sync_threads();
  }
  int32_t sum = smem.sums[thread] - own;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t count = sort.starts[i];
    sort.starts[i] = sum;
    sum += count;
  }
  if (thread == 0) sort.starts[sort.targets] = static_cast<int32_t>(sort.rows);
}

template <class Index>
__global__ void place_rows(RowSort<Index> sort) {
  const int64_t row = int64_t{blockIdx.x} * sort_threads + thread_number();
  if (row >= sort.rows) return;
  const int64_t own = sort.index_of(row);
  const int64_t before = sort.counts[row / sort.share * sort.targets + own];
  const int64_t place = sort.starts[own] + before + sort.ranks[row];
  sort.order[place] = static_cast<int32_t>(row);
  sort.sources[place] = static_cast<int32_t>(own);
}

// Rows in the order of their targets; without an index they all go to row 0.
struct SortedRows {
  const int32_t *starts = nullptr, *order = nullptr, *targets = nullptr;
  int32_t rows, piece;  // rows of a piece

  __device__ int32_t start(int32_t target) const { return starts ? starts[target] : (target > 0 ? rows : 0); }
  __device__ int64_t row(int32_t place) const { return order ? order[place] : place; }
  __device__ int32_t target(int32_t place) const { return targets ? targets[place] : 0; }
};

// partial is (pieces, 2, columns): the sums of what began before each piece, and of what begins in it and
// goes on behind it.
template <int width, class In, class Out>
__global__ void __launch_bounds__(sort_threads, 8)
    sum_pieces(SortedRows sorted, const In* x, int64_t columns, Out* table, float* partial) {
  const int64_t column = (int64_t{blockIdx.y} * sort_threads + thread_number()) * width;
  if (column >= columns) return;
  const int32_t begin = static_cast<int32_t>(blockIdx.x) * sorted.piece, rest = sorted.rows - begin;
  const int32_t end = begin + (sorted.piece < rest ? sorted.piece : rest);
  for (int32_t place = begin; place < end;) {
    const int32_t target = sorted.target(place), next = sorted.start(target + 1);
    const int32_t stop = next < end ? next : end;
    const bool begins_before = sorted.start(target) < begin;
    float sums[width] = {};
#pragma unroll 4
    for (; place < stop; ++place) {
      const auto values = load_vector<width>(x + sorted.row(place) * columns + column);
      for (int i = 0; i < width; ++i) sums[i] += to_float(values[i]);
    }
    if (!begins_before && next <= end) {
      Vector<Out, width> rounded;
      for (int i = 0; i < width; ++i) rounded[i] = from_float<Out>(sums[i]);
      store_vector(table + int64_t{target} * columns + column, rounded);
    } else {
      float* slot = partial + (2 * int64_t{blockIdx.x} + (begins_before ? 0 : 1)) * columns + column;
      for (int i = 0; i < width; ++i) slot[i] = sums[i];
    }
  }
}

// The rows of the table that no piece has finished.
template <int width, class Out>
__global__ void __launch_bounds__(sort_threads)
    finish_rows(SortedRows sorted, int64_t columns, Out* table, const float* partial) {
  const int64_t column = (int64_t{blockIdx.y} * sort_threads + thread_number()) * width;
  if (column >= columns) return;
  const auto target = static_cast<int32_t>(blockIdx.x);
  const int32_t start = sorted.start(target), next = sorted.start(target + 1);
  float sums[width] = {};
  if (next > start) {
    const int32_t first = start / sorted.piece, last = (next - 1) / sorted.piece;
    if (first == last) return;
    for (int32_t piece = first; piece <= last; ++piece) {
      const float* slot = partial + (2 * int64_t{piece} + (piece == first ? 1 : 0)) * columns + column;
      for (int i = 0; i < width; ++i) sums[i] += slot[i];
    }
  }
  Vector<Out, width> rounded;
  for (int i = 0; i < width; ++i) rounded[i] = from_float<Out>(sums[i]);
  store_vector(table + int64_t{target} * columns + column, rounded);
}

// The memory that sum_by_sorting takes, and what stands where in it.
struct SortMemory {
  int64_t share, shares, piece, pieces;
  size_t words;

  SortMemory(int64_t rows, int64_t targets, int64_t columns, bool sorts)
      : share(std::max(least_share, ceil_div(ceil_div(rows, most_shares), warp_size) * warp_size)),
        shares(ceil_div(rows, share)),
        piece(std::max<int64_t>(16, std::llround(std::sqrt(static_cast<double>(rows))))),
        pieces(ceil_div(rows, piece)),
        words(static_cast<size_t>((sorts ? shares * targets + 3 * rows + targets + 1 : 0) +
                                  2 * pieces * columns)) {}
};

inline size_t sort_workspace(int64_t rows, const TensorView& index, const TensorView& table) {
  return sizeof(int32_t) * SortMemory(rows, table.shape[0], table.shape[1], index.defined()).words;
}

// Sorts and returns what stands in `memory`, behind which the rest begins.
inline SortedRows sort_rows(Stream& stream, const TensorView& index, IndexKind kind, int64_t targets,
                            const SortMemory& plan, int32_t*& memory) {
  const int64_t rows = index.shape[0];
  const auto take = [&](int64_t words) { return std::exchange(memory, memory + words); };
  RowSort<int32_t> sort{index.as<int32_t>(), rows, targets, plan.share};
  sort.counts = take(plan.shares * targets);
  sort.ranks = take(rows);
  sort.starts = take(targets + 1);
  sort.order = take(rows);
  sort.sources = take(rows);
  sort.kind = kind;
  sort.fault = index_fault(kernel_device);
  const int64_t counts = plan.shares * targets;
  const auto one_each = [](int64_t size, Here here = Here::current()) {
    return LaunchConfig{.grid = ceil_div(size, sort_threads), .block = sort_threads, .where = here};
  };
  launch(stream, one_each(counts), clear_counts<int32_t>, sort, counts);
  launch(stream, {.grid = plan.shares, .block = warp_size}, rank_rows<int32_t>, sort);
  launch(stream, one_each(targets), add_shares<int32_t>, sort, plan.shares);
  launch(stream, {.grid = 1, .block = scan_threads, .shared_bytes = sizeof(ScanSmem)}, scan_starts<int32_t>,
         sort);
  launch(stream, one_each(rows), place_rows<int32_t>, sort);
  return {sort.starts, sort.order, sort.sources, static_cast<int32_t>(rows),
          static_cast<int32_t>(plan.piece)};
}

// table[t] = sum of x[m] over index[m] == t; an absent index is 0 throughout.
template <class Out, class In>
void sum_by_sorting(Stream& stream, const In* x, int64_t rows, const TensorView& index, IndexKind kind,
                    const TensorView& table) {
  const int64_t targets = table.shape[0], columns = table.shape[1];
  const SortMemory plan(rows, targets, columns, index.defined());
  const Buffer scratch(kernel_device, sizeof(int32_t) * plan.words);
  auto* memory = scratch.as<int32_t>();
  SortedRows sorted{.rows = static_cast<int32_t>(rows), .piece = static_cast<int32_t>(plan.piece)};
  if (index.defined()) sorted = sort_rows(stream, index, kind, targets, plan, memory);
  auto* partial = reinterpret_cast<float*>(memory);
  const auto with = [&]<int width>() {
    const int64_t across = ceil_div(columns, sort_threads * width);
    launch(stream, {.grid = {plan.pieces, across}, .block = sort_threads}, sum_pieces<width, In, Out>, sorted,
           x, columns, table.as<Out>(), partial);
    launch(stream, {.grid = {targets, across}, .block = sort_threads}, finish_rows<width, Out>, sorted,
           columns, table.as<Out>(), partial);
  };
  constexpr int widest = 16 / std::max(sizeof(In), sizeof(Out));
  if (columns % widest == 0 && are_aligned({x, table.data}))
    with.template operator()<widest>();
  else
    with.template operator()<1>();
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
