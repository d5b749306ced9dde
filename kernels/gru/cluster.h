// What the forward and the backward of the cluster variant share: how a cluster divides a product, and how
// its blocks hand each other the next one's right operand (cluster.cu says why).
#pragma once
#include <algorithm>
#include <bit>
#include <initializer_list>
#include <type_traits>

#include "kernels/gru/device_products.h"

namespace tenon::gru {
inline namespace TENON_SIMT_BUILD {

constexpr int sequences_of_cluster = 8;

// How a cluster divides the product of `outputs` values a unit over `columns` columns.
template <class T, int hidden, int outputs>
struct ClusterCut {
  using Element = std::conditional_t<std::is_same_v<T, bf16>, bf16, tf32>;
  static constexpr int blocks = std::is_same_v<T, bf16> || hidden < 128 ? 4 : 8;
  static constexpr int units = hidden / blocks;     // of a block
  static constexpr int word_units = 4 / sizeof(T);  // of a word
  static constexpr int parts = 4 / word_units;      // warps that share the columns of 16 units
  static constexpr int warps = units / 16 * parts, threads = warps * warp_size;
  static constexpr int columns = outputs == 3 ? hidden : 3 * hidden;
  static constexpr int depth = mma_depth<Element>;
  static constexpr int pairs = columns / parts / (2 * depth);  // of steps along the columns, of a warp
  static constexpr int stride = columns + 16 / static_cast<int>(sizeof(T));  // eight rows hit all banks once
  static constexpr int foreign_bytes = sequences_of_cluster * (columns - columns / blocks) * int{sizeof(T)};
  static_assert(units % 16 == 0 && pairs * 2 * depth * parts == columns);
};

constexpr int stages = 4;  // of words that are on their way from global memory

template <class T, int hidden, int outputs, int fetched>
struct ClusterSmem {
  using Cut = ClusterCut<T, hidden, outputs>;
  T operand[2][sequences_of_cluster][Cut::stride];
  float partial[2][Cut::warps][Cut::parts][outputs * Cut::word_units][warp_size];  // from, to
  uint32_t words[stages][fetched][Cut::threads];
  ClusterBarrier filled[2];  // of operand
};

// A thread's place: a word of units of a sequence, and its warp's part of the product's columns.
template <class Cut>
struct ClusterPlace {
  int rank = cluster_rank(), direction = static_cast<int>(blockIdx.y);
  int first_sequence = static_cast<int>(blockIdx.x) / Cut::blocks * sequences_of_cluster;
  int lane = lane_number(), warp = warp_number(), part = warp % Cut::parts;
  int tile_unit = rank * Cut::units + warp / Cut::parts * 16;  // first of the warp's 16
  int column = mma_c_place(lane, part).column;                 // of the sequences
  int unit = tile_unit + unit_of_row(mma_c_place(lane, part).row);

  // Rows of a lane's sums are 8 apart: in bf16 they are neighbouring units, which make a word.
  __device__ static constexpr int unit_of_row(int row) {
    return Cut::word_units == 2 ? 2 * (row % 8) + row / 8 : row;
  }
};

template <class T>
__device__ void unpack(uint32_t word, float (&values)[4 / sizeof(T)]) {
  if constexpr (std::is_same_v<T, bf16>) {
    values[0] = std::bit_cast<float>(word << 16);
    values[1] = std::bit_cast<float>(word & 0xffff0000u);
  } else {
    values[0] = std::bit_cast<float>(word);
  }
}

template <class T>
__device__ uint32_t pack(const float (&values)[4 / sizeof(T)]) {
  if constexpr (std::is_same_v<T, bf16>)
    return pack_pair<bf16>(values[0], values[1]);
  else
    return std::bit_cast<uint32_t>(values[0]);
}

// As the product reads it.
template <class T>
__device__ uint32_t operand_word(uint32_t word) {
  if constexpr (std::is_same_v<T, float>) return to_tf32(std::bit_cast<float>(word));
  return word;
}

template <class T>
__device__ void store_word(T* target, uint32_t word) {
  store_vector(target, std::bit_cast<Vector<T, 4 / sizeof(T)>>(word));
}

// A warp's share of a weight for all steps: weight(unit, column) of its 16 units and its part of the columns.
template <class T, class Cut, class Weight>
__device__ void load_weight(const ClusterPlace<Cut>& place, MmaA<typename Cut::Element> (&a)[2 * Cut::pairs],
                            const Weight& weight) {
  using Element = typename Cut::Element;
#pragma unroll
  for (int k = 0; k < 2 * Cut::pairs; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const MmaPlace at = mma_a_place<Element>(place.lane, Cut::word_units * i);
      const int unit = place.tile_unit + place.unit_of_row(at.row);
      const int column = (place.part * 2 * Cut::pairs + k) * Cut::depth + at.column;
      if constexpr (std::is_same_v<T, bf16>)
        a[k].words[i] = weight(unit, column).bits | static_cast<uint32_t>(weight(unit, column + 1).bits)
                                                        << 16;
      else
        a[k].words[i] = to_tf32(weight(unit, column));
    }
}

// The right operand's columns for two steps of mma, from row-major states of the 8 sequences.
template <class T, class Cut>
__device__ void load_operand(const ClusterPlace<Cut>& place,
                             const T (&operand)[sequences_of_cluster][Cut::stride], int pair,
                             MmaB<typename Cut::Element> (&b)[2]) {
  const int column = (place.part * Cut::pairs + pair) * 2 * Cut::depth;
  uint32_t words[4];
  load_matrices(words, &operand[place.lane % 8][column + place.lane / 8 * 16 / static_cast<int>(sizeof(T))]);
  b[0] = {{words[0], words[1]}};
  b[1] = {{words[2], words[3]}};
}

// The whole sums of this thread's word from the partial ones of the warps that share its units.
template <class Cut, int outputs>
__device__ void exchange(const ClusterPlace<Cut>& place, const MmaC (&c)[outputs],
                         float (&partial)[Cut::warps][Cut::parts][outputs * Cut::word_units][warp_size],
                         float (&sums)[outputs][Cut::word_units]) {
  for (int output = 0; output < outputs; ++output)
    for (int i = 0; i < 4; ++i) {
      const int to = i % Cut::parts, unit = i / Cut::parts;
      if (to == place.part)
        sums[output][unit] = c[output].values[i];
      else
        partial[place.warp][to][output * Cut::word_units + unit][place.lane] = c[output].values[i];
    }
  sync_threads();
  const int first_warp = place.warp - place.part;
  for (int from = 0; from < Cut::parts; ++from)
    if (from != place.part)
      for (int output = 0; output < outputs; ++output)
        for (int unit = 0; unit < Cut::word_units; ++unit)
          sums[output][unit] +=
              partial[first_warp + from][place.part][output * Cut::word_units + unit][place.lane];
}

// The barriers are there for all blocks of the cluster. A phase takes one arrival from each other block,
// which has read its other operand by then, and one from each own warp, which has stored its share of this
// one.
template <class Cut>
__device__ void init_barriers(ClusterBarrier (&filled)[2]) {
  if (thread_number() == 0) {
    for (ClusterBarrier& barrier : filled) barrier.init(Cut::blocks - 1 + Cut::warps);
    fence_barrier_init();
  }
  sync_cluster();
}

// Tells the other blocks that this one has read its other operand: they may fill it once this one is full.
template <class Cut>
__device__ void allow_next(const ClusterPlace<Cut>& place, ClusterBarrier* filled) {
  if (thread_number() != 0) return;
  for (int block = 0; block < Cut::blocks; ++block)
    if (block != place.rank) in_block(filled, block)->arrive();
}

// Stores a word into the operand of every block.
template <class Cut, class T>
__device__ void send(const ClusterPlace<Cut>& place, T* target, uint32_t word, ClusterBarrier* filled) {
  for (int block = 0; block < Cut::blocks; ++block)
    if (block != place.rank)
      store_async(in_block(reinterpret_cast<uint32_t*>(target), block), word, in_block(filled, block));
  store_word(target, word);
}

// This warp has sent all its words.
template <class Cut>
__device__ void finish_sending(const ClusterPlace<Cut>& place, ClusterBarrier* filled) {
  sync_warp();
  if (place.lane != 0) return;
  if (place.warp == 0)
    filled->arrive_expect(Cut::foreign_bytes);
  else
    filled->arrive();
}

// The n-th time that the operand was filled, n from 1 up, it was number n % 2, for the (n - 1) / 2-th time.
__device__ inline int parity_of(int n) { return (n - 1) / 2 % 2; }

// Calls body.template operator()<T, hidden>() for the type and hidden size of the arguments.
template <class Args, class Body>
void dispatch_hidden(const Args& a, const Body& body) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    if (a.hidden_size == 64) body.template operator()<T, 64>();
    if (a.hidden_size == 128) body.template operator()<T, 128>();
    if (a.hidden_size == 256) body.template operator()<T, 256>();
  });
}

template <class Cut, class Smem, class Args>
LaunchConfig cluster_config(const Args& a, Here here = Here::current()) {
  return {.grid = {ceil_div(sequence_count(a.cu_seqlens), sequences_of_cluster) * Cut::blocks, a.directions},
          .block = Cut::threads,
          .shared_bytes = sizeof(Smem),
          .cluster = Cut::blocks,
          .where = here};
}

// The GPU is asked once.
template <class Cut, class Smem, class Kernel>
bool can_launch(Kernel* kernel) {
  static const bool can = most_clusters(kernel, Cut::blocks, Cut::threads, sizeof(Smem)) > 0;
  return can;
}

inline bool are_whole_words(std::initializer_list<const TensorView*> views) {
  return std::all_of(views.begin(), views.end(),
                     [](const TensorView* view) { return reinterpret_cast<uintptr_t>(view->data) % 4 == 0; });
}

// Why a cluster cannot run it. `words`: the views that it reads or writes word by word; fits.template
// operator()<T, hidden>() says whether the GPU can launch the kernel.
template <class Args, class Fits>
std::string why_no_cluster(const Args& a, std::initializer_list<const TensorView*> words, const Fits& fits) {
  if (const std::string why = knows_max_seqlen(a); !why.empty()) return why;
  if (a.x.dtype == DType::f32 && !a.tf32)
    return "it rounds the products of f32 to tf32, which is not allowed";
  if (a.hidden_size != 64 && a.hidden_size != 128 && a.hidden_size != 256)
    return str("its blocks hold W_hh in registers for 64, 128 or 256 units, not for ", a.hidden_size);
  if (!are_whole_words(words)) return "it moves 4 bytes at a time, and a tensor starts in between";
  bool can = false;
  dispatch_hidden(a, [&]<class T, int hidden>() { can = fits.template operator()<T, hidden>(); });
  return can ? "" : "this GPU runs no cluster of 4 or 8 such blocks: it takes compute capability 9.0";
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon::gru
