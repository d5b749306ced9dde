// The gradient of attention on tensor cores, in bf16 with fp32 sums (Dao 2023), deterministic and without
// atomics: a block of 4 warps takes queries and walks over the keys for dq, then a block takes keys and walks
// over the queries for dk and dv. Either computes the probabilities again from the log-sum-exps. In the
// second, scores are computed transposed, (keys, queries): so in both the gradients of the scores leave one
// product as the first factor of the next, and a warp needs nothing from another. The first kernel also
// leaves delta = dout . out of each row.
//
// Bound by the tensor cores: s, dp, dq and s, dp, dv, dk are seven products of 2 * dim operations a score.
// One kernel for all would need five, but its blocks would have to add to the same dq: in an order that is
// not fixed, or one after the other. By arithmetic, not measured: two thirds of an H100's 950 TFLOP/s, which
// is what mma.sync reaches (Shah et al. 2024), of which five sevenths count, are at most 450 TFLOP/s.
#include "kernels/attention/attention.h"
#include "kernels/attention/flash_tiles.h"
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
struct Problem : BackwardOperands<T> {
  float* delta;  // (heads, tokens)
};

// What the registers have room for: blocks of 16 rows of a warp, and what the block walks over at a time.
template <int dim>
constexpr int row_blocks = dim <= 64 ? 2 : 1;
template <int dim>
constexpr int own_rows = flash_warps * 16 * row_blocks<dim>;
template <class T, int dim>
constexpr int step = dim * sizeof(T) <= 128 ? 64 : 32;

template <class T, int dim>
struct QuerySmem {
  FlashTile<T, own_rows<dim>, dim> q, dout;
  FlashTile<T, step<T, dim>, dim> k[2], v[2];
};

template <class T, int dim>
struct KeySmem {
  FlashTile<T, own_rows<dim>, dim> k, v;
  FlashTile<T, step<T, dim>, dim> q[2], dout[2];
  float lse[2][step<T, dim>], delta[2][step<T, dim>];
};

// A 16 x 16 piece of a product as the two results of tensor cores.
struct Piece {
  MmaC half[2] = {};
};

// Adds rows 0 to 15 of `own` times the transposes of rows 0 to 15 of `other`, for each block of 16 own rows.
template <class T, int blocks, int pitch>
__device__ void add_scores(const T (*own)[pitch], const T (*other)[pitch], Piece (&sums)[blocks]) {
#pragma unroll
  for (int depth = 0; depth < pitch - piece<T>; depth += depth_of<T>) {
    const FlashPair<T> pair = load_b_of_rows(other, depth);
#pragma unroll
    for (int m = 0; m < blocks; ++m) {
      const auto a = load_a(own + 16 * m, depth);
      for (int i = 0; i < 2; ++i) mma(sums[m].half[i], a, pair.b[i]);
    }
  }
}

// sums += factors, rounded to T, times rows 0 to 15 of x.
template <class T, int blocks, int columns, int pitch>
__device__ void add_product(const Piece (&factors)[blocks], const T (*x)[pitch],
                            MmaC (&sums)[blocks][columns]) {
#pragma unroll
  for (int depth = 0; depth < 16; depth += depth_of<T>) {
    MmaA<MmaType<T>> a[blocks];
    for (int m = 0; m < blocks; ++m) a[m] = as_a<T>(&factors[m].half[depth / 8]);
#pragma unroll
    for (int n = 0; n < columns; n += 2) {
      const FlashPair<T> pair = load_b_of_columns(x + depth, 8 * n);
#pragma unroll
      for (int m = 0; m < blocks; ++m)
        for (int i = 0; i < 2; ++i) mma(sums[m][n + i], a[m], pair.b[i]);
    }
  }
}

// dout . out of 16 rows, for rows lane / 4 and lane / 4 + 8.
template <class T, int pitch>
__device__ void row_products(const T (*dout)[pitch], const PackedHeads& heads, const T* out, int64_t stride,
                             int count, float (&delta)[2]) {
  const int lane = lane_number();
  for (int half = 0; half < 2; ++half) {
    const int row = lane / 4 + 8 * half;
    float sum = 0;
    if (row < count)
      for (int column = lane % 4 * piece<T>; column < heads.dim; column += 4 * piece<T>) {
        const auto x = load_vector<piece<T>>(&dout[row][column]);
        const auto y = load_vector<piece<T>>(out + row * stride + column);
        for (int i = 0; i < piece<T>; ++i) sum += to_float(x[i]) * to_float(y[i]);
      }
    sum += shuffle_xor(sum, 1);
    delta[half] = sum + shuffle_xor(sum, 2);
  }
}

template <class T, int dim, bool drops>
__global__ void __launch_bounds__(flash_threads) backward_of_queries(Problem<T> a) {
  constexpr int blocks = row_blocks<dim>, keys = step<T, dim>;
  const HeadTile tile = HeadTile::of_block(a.heads, own_rows<dim>);
  if (tile.first >= tile.length) return;
  auto& smem = shared<QuerySmem<T, dim>>();
  const int lane = lane_number(), warp_row = warp_number() * 16 * blocks;  // in the tile
  const bool works = tile.first + warp_row < tile.length;
  const auto copy_tile = [&](int number) {
    if (number * keys < tile.length) {
      copy_rows(smem.k[number % 2], a.heads, tile, a.k, number * keys);
      copy_rows(smem.v[number % 2], a.heads, tile, a.v, number * keys);
    }
    commit_copies();
  };

  copy_rows(smem.q, a.heads, tile, a.q, tile.first);
  copy_rows(smem.dout, a.heads, tile, a.dout, tile.first);
  copy_tile(0);
  // What multiplies a probability goes into its exponent: 2^(s * scale - shift) = scale * drop_scale * p.
  const float scale = a.heads.scale * log2_e;
  const float shrink = drops ? 1 / a.heads.drop_scale : 1, gain = log2f(a.heads.scale / shrink);
  float shift[blocks][2] = {}, delta[blocks][2];  // delta / drop_scale
  MmaC dq[blocks][dim / 8] = {};
  for (int number = 0; number * keys < tile.length; ++number) {
    wait_copies<0>();
    sync_threads();  // this tile is there, and nobody needs the last one any more
    copy_tile(number + 1);
    if (!works) continue;
    if (number == 0) {
#pragma unroll
      for (int m = 0; m < blocks; ++m) {
        const int first = tile.first + warp_row + 16 * m, count = tile.length - first;
        row_products(&smem.dout[warp_row + 16 * m], a.heads, tile.row(a.heads, a.out, first), a.out.stride,
                     count, delta[m]);
        for (int half = 0; half < 2; ++half)
          if (const int row = lane / 4 + 8 * half; row < count) {
            const int64_t place = tile.statistic(a.heads, first + row);
            delta[m][half] *= shrink;
            shift[m][half] = a.lse[place] * log2_e - gain;
            if (lane % 4 == 0) a.delta[place] = delta[m][half];
          }
      }
    }
#pragma unroll 1
    for (int chunk = 0; chunk < keys; chunk += 16) {
      const int first_key = number * keys + chunk;
      if (first_key >= tile.length) break;
      const auto* k = &smem.k[number % 2][chunk];
      Piece p[blocks], ds[blocks];
      add_scores(&smem.q[warp_row], k, p);
      add_scores(&smem.dout[warp_row], &smem.v[number % 2][chunk], ds);
#pragma unroll
      for (int m = 0; m < blocks; ++m) {
        const uint32_t kept =
            drops ? kept_bits<2>(a.heads, tile, tile.first + warp_row + 16 * m, first_key) : 0;
        for (int n = 0; n < 2; ++n)
          for (int i = 0; i < 4; ++i) {
            float& value = ds[m].half[n].values[i];
            if (drops && !(kept >> (4 * n + i) & 1)) value = 0;
            value = fast_exp2(p[m].half[n].values[i] * scale - shift[m][i / 2]) * (value - delta[m][i / 2]);
            if (first_key + 8 * n + mma_c_place(lane, i).column >= tile.length) value = 0;
          }
      }
      add_product(ds, k, dq);
    }
  }

  if (!works) return;
#pragma unroll
  for (int m = 0; m < blocks; ++m) {
    const int first = tile.first + warp_row + 16 * m;
    store_rows(dq[m], &smem.q[warp_row + 16 * m], a.heads, tile.row(a.heads, a.dq, first), a.dq.stride,
               tile.length - first);
  }
}

// Rows past the end of the sequence are zero, and so are their lse and delta: they add nothing.
template <class T, int dim, bool drops>
__global__ void __launch_bounds__(flash_threads) backward_of_keys(Problem<T> a) {
  constexpr int blocks = row_blocks<dim>, queries = step<T, dim>;
  const HeadTile tile = HeadTile::of_block(a.heads, own_rows<dim>);
  if (tile.first >= tile.length) return;
  auto& smem = shared<KeySmem<T, dim>>();
  const int lane = lane_number(), warp_row = warp_number() * 16 * blocks;  // in the tile
  const bool works = tile.first + warp_row < tile.length;
  const auto copy_tile = [&](int number) {
    const int first = number * queries, stage = number % 2, i = thread_number();
    if (first < tile.length) {
      copy_rows(smem.q[stage], a.heads, tile, a.q, first);
      copy_rows(smem.dout[stage], a.heads, tile, a.dout, first);
      if (i < queries) {
        const bool there = first + i < tile.length;
        const int64_t place = there ? tile.statistic(a.heads, first + i) : 0;
        copy_async<4>(&smem.lse[stage][i], a.lse + place, there ? 4 : 0);
        copy_async<4>(&smem.delta[stage][i], a.delta + place, there ? 4 : 0);
      }
    }
    commit_copies();
  };

  copy_rows(smem.k, a.heads, tile, a.k, tile.first);
  copy_rows(smem.v, a.heads, tile, a.v, tile.first);
  copy_tile(0);
  // 2^(s * scale - shift) = drop_scale * p, and delta stands divided by drop_scale.
  const float scale = a.heads.scale * log2_e, gain = drops ? log2f(a.heads.drop_scale) : 0;
  MmaC dk[blocks][dim / 8] = {}, dv[blocks][dim / 8] = {};
  for (int number = 0; number * queries < tile.length; ++number) {
    const int stage = number % 2;
    wait_copies<0>();
    sync_threads();  // this tile is there, and nobody needs the last one any more
    copy_tile(number + 1);
    if (!works) continue;
#pragma unroll 1
    for (int chunk = 0; chunk < queries; chunk += 16) {
      const int first_query = number * queries + chunk;
      if (first_query >= tile.length) break;
      const auto *q = &smem.q[stage][chunk], *dout = &smem.dout[stage][chunk];
      Piece p[blocks], ds[blocks];
      add_scores(&smem.k[warp_row], q, p);
      add_scores(&smem.v[warp_row], dout, ds);
      uint32_t kept[blocks];
      if constexpr (drops)
        for (int m = 0; m < blocks; ++m)
          kept[m] = kept_bits_transposed(a.heads, tile, first_query, tile.first + warp_row + 16 * m);
      for (int n = 0; n < 2; ++n) {
        const int column = chunk + 8 * n + lane % 4 * 2;
        const auto lse = load_vector<2>(&smem.lse[stage][column]);
        const auto delta = load_vector<2>(&smem.delta[stage][column]);
        for (int i = 0; i < 4; ++i) {
          const float shift = lse[i % 2] * log2_e - gain, scaled_delta = a.heads.scale * delta[i % 2];
#pragma unroll
          for (int m = 0; m < blocks; ++m) {
            float &weight = p[m].half[n].values[i], &value = ds[m].half[n].values[i];
            const bool keep = !drops || kept[m] >> (4 * n + i) & 1;
            weight = fast_exp2(weight * scale - shift);
            value = weight * ((keep ? a.heads.scale * value : 0) - scaled_delta);
            if (!keep) weight = 0;
          }
        }
      }
      add_product(p, dout, dv);
      add_product(ds, q, dk);
    }
  }

  if (!works) return;
#pragma unroll
  for (int m = 0; m < blocks; ++m) {
    const int first = tile.first + warp_row + 16 * m, count = tile.length - first;
    auto* through = &smem.k[warp_row + 16 * m];
    store_rows(dk[m], through, a.heads, tile.row(a.heads, a.dk, first), a.dk.stride, count);
    store_rows(dv[m], through, a.heads, tile.row(a.heads, a.dv, first), a.dv.stride, count);
  }
}

std::string supports(const AttentionBackward::Args& a) {
  return supports_flash<bf16>(a, {&a.dout, &a.q, &a.k, &a.v, &a.out, &a.dq, &a.dk, &a.dv});
}

size_t workspace(const AttentionBackward::Args& a) { return a.lse.bytes(); }

void run(const AttentionBackward::Args& a, Stream& stream) {
  const Buffer delta(kernel_device, workspace(a));
  const Problem<bf16> problem{BackwardOperands<bf16>(a), delta.as<float>()};
  const auto launch_both = [&]<int dim, bool drops>() {
    const auto config = [&](size_t shared_bytes, Here here = Here::current()) {
      return LaunchConfig{.grid = problem.heads.grid(own_rows<dim>),
                          .block = flash_threads,
                          .shared_bytes = shared_bytes,
                          .where = here};
    };
    launch(stream, config(sizeof(QuerySmem<bf16, dim>)), backward_of_queries<bf16, dim, drops>, problem);
    launch(stream, config(sizeof(KeySmem<bf16, dim>)), backward_of_keys<bf16, dim, drops>, problem);
  };
  dispatch_dim(problem.heads.dim, [&]<int dim>() {
    if (problem.heads.drops)
      launch_both.template operator()<dim, true>();
    else
      launch_both.template operator()<dim, false>();
  });
}

const Register<AttentionBackward> registered{{.name = "flash_mma",
                                              .device = kernel_device,
                                              .priority = 20,
                                              .dtypes = {DType::bf16},
                                              .workspace = workspace,
                                              .supports = supports,
                                              .run = run}};

}  // namespace
}  // namespace tenon
