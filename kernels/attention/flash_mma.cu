// FlashAttention-2 (Dao 2023) on tensor cores, in bf16 with fp32 sums: a warp takes 32 queries, a block of 4
// warps 128 of one head, and walks over its keys in tiles of two stages, the next of which is copied while
// this one is worked on. Scores stay in registers: as they leave the first product they are, rounded to bf16,
// the first factor of the second. The softmax runs along (see online_softmax.cu), in powers of two with the
// scale folded in, and dropout draws its Philox numbers at the element's own key.
//
// Bound by the tensor cores and, close behind, by the exponentials: a head of 64 has 256 operations for each
// of those, and in a cycle an SM of an H100 does 4096 of the former and 16 of the latter. By arithmetic, not
// measured: with the two thirds of its 950 TFLOP/s that mma.sync reaches (Shah et al. 2024) that is 380
// TFLOP/s if nothing overlaps, and 630 if everything does. The 32 rows of a warp use each second factor
// twice, which keeps ldmatrix (2 cycles for a 16 x 8 x 16 product, that takes 2 on an A100) below the
// products.
#include "kernels/attention/attention.h"
#include "kernels/attention/flash_tiles.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

constexpr int row_blocks = 2;                           // of 16 queries, of a warp
constexpr int queries = flash_warps * 16 * row_blocks;  // of a block

// Of a tile: what registers and shared memory have room for.
template <class T, int dim>
constexpr int keys_of = dim * sizeof(T) <= 128 ? 64 : 32;

template <class T, int dim>
struct Smem {
  FlashTile<T, queries, dim> q;
  FlashTile<T, keys_of<T, dim>, dim> k[2], v[2];
};

// 16 queries of a warp. Of a row's values a lane has those at columns 2 * (lane % 4) and the next of each
// block of 8, in rows lane / 4 and lane / 4 + 8.
template <int keys, int dim>
struct Rows {
  MmaC scores[keys / 8], out[dim / 8] = {};
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};  // of this lane's columns, the sum
};

__device__ float max_of_row(float value) {
  value = fmaxf(value, shuffle_xor(value, 1));
  return fmaxf(value, shuffle_xor(value, 2));
}
__device__ float sum_of_row(float value) {
  value += shuffle_xor(value, 1);
  return value + shuffle_xor(value, 2);
}

template <int keys, int dim>
__device__ void mask_keys(Rows<keys, dim>& rows, int count) {
  const int lane = lane_number();
  for (int n = 0; n < keys / 8; ++n)
    for (int i = 0; i < 4; ++i)
      if (8 * n + mma_c_place(lane, i).column >= count) rows.scores[n].values[i] = -INFINITY;
}

// Scores become probabilities, but for the division by their sum.
template <int keys, int dim>
__device__ void advance_softmax(Rows<keys, dim>& rows, float scale) {
  for (int half = 0; half < 2; ++half) {
    float most = rows.largest[half];
    for (const MmaC& block : rows.scores)
      most = fmaxf(most, fmaxf(block.values[2 * half], block.values[2 * half + 1]));
    most = max_of_row(most);
    const float shift = most * scale, shrink = fast_exp2(rows.largest[half] * scale - shift);
    float sum = 0;
    for (MmaC& block : rows.scores)
      for (int i = 2 * half; i < 2 * half + 2; ++i)
        sum += block.values[i] = fast_exp2(block.values[i] * scale - shift);
    rows.largest[half] = most;
    rows.sum[half] = rows.sum[half] * shrink + sum;
    for (MmaC& block : rows.out) {
      block.values[2 * half] *= shrink;
      block.values[2 * half + 1] *= shrink;
    }
  }
}

template <int keys, int dim>
__device__ void drop(Rows<keys, dim>& rows, uint32_t kept) {
  for (int n = 0; n < keys / 8; ++n)
    for (int i = 0; i < 4; ++i)
      if (!(kept >> (4 * n + i) & 1)) rows.scores[n].values[i] = 0;
}

template <class T, int dim, bool drops>
__global__ void __launch_bounds__(flash_threads) forward(ForwardOperands<T> a) {
  constexpr int keys = keys_of<T, dim>;
  const HeadTile tile = HeadTile::of_block(a.heads, queries);
  if (tile.first >= tile.length) return;
  auto& smem = shared<Smem<T, dim>>();
  const int warp_row = warp_number() * 16 * row_blocks;  // in the tile
  const bool works = tile.first + warp_row < tile.length;
  const float scale = a.heads.scale * log2_e;
  const auto copy_tile = [&](int number) {
    if (number * keys < tile.length) {
      copy_rows(smem.k[number % 2], a.heads, tile, a.k, number * keys);
      copy_rows(smem.v[number % 2], a.heads, tile, a.v, number * keys);
    }
    commit_copies();
  };

  Rows<keys, dim> rows[row_blocks];
  copy_rows(smem.q, a.heads, tile, a.q, tile.first);
  copy_tile(0);
  for (int number = 0; number * keys < tile.length; ++number) {
    wait_copies<0>();
    sync_threads();  // this tile is there, and nobody needs the last one any more
    copy_tile(number + 1);
    if (!works) continue;
    const auto& k = smem.k[number % 2];
    const auto& v = smem.v[number % 2];
    const int first_key = number * keys;
    uint32_t kept[row_blocks];  // drawn while no scores take up registers
    if constexpr (drops)
      for (int m = 0; m < row_blocks; ++m)
        kept[m] = kept_bits<keys / 8>(a.heads, tile, tile.first + warp_row + 16 * m, first_key);
    for (auto& block : rows)
      for (MmaC& scores : block.scores) scores = {};
#pragma unroll
    for (int depth = 0; depth < dim; depth += depth_of<T>) {
      MmaA<MmaType<T>> q[row_blocks];
      for (int m = 0; m < row_blocks; ++m) q[m] = load_a(&smem.q[warp_row + 16 * m], depth);
#pragma unroll
      for (int n = 0; n < keys; n += 16) {
        const FlashPair<T> pair = load_b_of_rows(&k[n], depth);
        for (int m = 0; m < row_blocks; ++m)
          for (int i = 0; i < 2; ++i) mma(rows[m].scores[n / 8 + i], q[m], pair.b[i]);
      }
    }
#pragma unroll
    for (int m = 0; m < row_blocks; ++m) {
      if (first_key + keys > tile.length) mask_keys(rows[m], tile.length - first_key);
      advance_softmax(rows[m], scale);
      if constexpr (drops) drop(rows[m], kept[m]);
    }
#pragma unroll
    for (int depth = 0; depth < keys; depth += depth_of<T>) {
      MmaA<MmaType<T>> p[row_blocks];
      for (int m = 0; m < row_blocks; ++m) p[m] = as_a<T>(&rows[m].scores[depth / 8]);
#pragma unroll
      for (int n = 0; n < dim; n += 16) {
        const FlashPair<T> pair = load_b_of_columns(&v[depth], n);
        for (int m = 0; m < row_blocks; ++m)
          for (int i = 0; i < 2; ++i) mma(rows[m].out[n / 8 + i], p[m], pair.b[i]);
      }
    }
  }

  if (!works) return;
#pragma unroll
  for (int m = 0; m < row_blocks; ++m) {
    const int first = tile.first + warp_row + 16 * m, count = tile.length - first;
    for (int half = 0; half < 2; ++half) {
      const float sum = sum_of_row(rows[m].sum[half]), factor = (drops ? a.heads.drop_scale : 1.0f) / sum;
      for (MmaC& block : rows[m].out)
        for (int i = 2 * half; i < 2 * half + 2; ++i) block.values[i] *= factor;
      const int row = lane_number() / 4 + 8 * half;
      if (lane_number() % 4 == 0 && row < count)
        a.lse[tile.statistic(a.heads, first + row)] = rows[m].largest[half] * a.heads.scale + logf(sum);
    }
    store_rows(rows[m].out, &smem.q[warp_row + 16 * m], a.heads, tile.row(a.heads, a.out, first),
               a.out.stride, count);
  }
}

std::string supports(const Attention::Args& a) { return supports_flash<bf16>(a, {&a.q, &a.k, &a.v, &a.out}); }

void run(const Attention::Args& a, Stream& stream) {
  const ForwardOperands<bf16> problem(a);
  dispatch_dim(problem.heads.dim, [&]<int dim>() {
    launch(stream,
           {.grid = problem.heads.grid(queries),
            .block = flash_threads,
            .shared_bytes = sizeof(Smem<bf16, dim>)},
           problem.heads.drops ? forward<bf16, dim, true> : forward<bf16, dim, false>, problem);
  });
}

const Register<Attention> registered{{.name = "flash_mma",
                                      .device = kernel_device,
                                      .priority = 20,
                                      .dtypes = {DType::bf16},
                                      .supports = supports,
                                      .run = run}};

}  // namespace
}  // namespace tenon
