// The gradient of attention on a GPU in fp32 tiles of shared memory. Probabilities are computed again from
// the log-sum-exps, twice, so that every gradient has one block that sums it up in a fixed order, without
// atomics: a block per 64 queries walks over the keys for dq, then a block per 64 keys walks over the queries
// for dk and dv. The first also leaves delta = dout . out of each row, which is the sum of p * dp over it.
//
// Bound by fp32 arithmetic: seven products of 2 * dim operations a score, where a pass that computed all
// three gradients at once would need five.
#include "kernels/attention/attention.h"
#include "kernels/attention/fp32_tiles.h"
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
struct Problem : BackwardOperands<T> {
  float* delta;  // (heads, tokens)
};

template <int dim>
struct Smem {
  Fp32Tile<dim> q, k, v, dout;
  Fp32Tile<tile_rows> p;  // or ds
};

// What the softmax of this thread's four rows left; zero for rows past the end, whose q and dout are zero.
struct RowStatistics {
  float lse[4] = {}, delta[4] = {};
};

// What v was multiplied by, and the gradients of the scores; 0 for keys that do not exist. What queries past
// the end give is multiplied by their rows of zeros.
template <int dim>
__device__ void differentiate(const Part& part, const Smem<dim>& smem, const PackedHeads& heads, int keys,
                              const RowStatistics& rows, const DropMask& kept, float (&p)[4][4],
                              float (&ds)[4][4]) {
  multiply_rows(part, smem.q, smem.k, heads.dim, p);
  multiply_rows(part, smem.dout, smem.v, heads.dim, ds);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const float factor = kept(i, j) ? heads.drop_scale : 0;
      const float probability = part.column(j) < keys ? expf(heads.scale * p[i][j] - rows.lse[i]) : 0;
      ds[i][j] = heads.scale * probability * (ds[i][j] * factor - rows.delta[i]);
      p[i][j] = probability * factor;
    }
}

__device__ void store(const Part& part, const float (&values)[4][4], Fp32Tile<tile_rows>& to) {
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) to[part.row(i)][part.column(j)] = values[i][j];
}

template <class T, int dim>
__global__ void __launch_bounds__(tile_threads) backward_of_queries(Problem<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, tile_rows);
  if (tile.first >= tile.length) return;
  auto& smem = shared<Smem<dim>>();
  const Part part;
  load_rows(smem.q, a.heads, tile, a.q, tile.first);
  load_rows(smem.dout, a.heads, tile, a.dout, tile.first);
  load_rows(smem.k, a.heads, tile, a.out, tile.first);
  sync_threads();
  RowStatistics rows;
  for (int i = 0; i < 4; ++i) {
    // In the order of the product that dp comes from: where one key takes all, they cancel exactly.
    for (int k = 0; k < a.heads.dim; k += 4)
      rows.delta[i] = dot4(rows.delta[i], load_vector<4>(&smem.dout[part.row(i)][k]),
                           load_vector<4>(&smem.k[part.row(i)][k]));
    const int row = tile.first + part.row(i);
    if (row >= tile.length) continue;
    rows.lse[i] = a.lse[tile.statistic(a.heads, row)];
    if (part.x == 0) a.delta[tile.statistic(a.heads, row)] = rows.delta[i];
  }

  float dq[4][dim / 16] = {};
  for (int first = 0; first < tile.length; first += tile_rows) {
    sync_threads();
    load_rows(smem.k, a.heads, tile, a.k, first);
    load_rows(smem.v, a.heads, tile, a.v, first);
    sync_threads();
    float p[4][4], ds[4][4];
    const DropMask kept(part, a.heads, tile, tile.first, first);
    differentiate(part, smem, a.heads, tile.length - first, rows, kept, p, ds);
    store(part, ds, smem.p);
    sync_warp();  // a row of ds is one warp's alone
    add_product(part, smem.p, smem.k, rows_there(tile, first), dq);
  }
  for (int i = 0; i < 4; ++i)
    if (const int row = tile.first + part.row(i); row < tile.length)
      store_row(part, a.heads, tile, a.dq, row, dq[i], 1);
}

template <class T, int dim>
__global__ void __launch_bounds__(tile_threads) backward_of_keys(Problem<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, tile_rows);
  if (tile.first >= tile.length) return;
  auto& smem = shared<Smem<dim>>();
  const Part part;
  load_rows(smem.k, a.heads, tile, a.k, tile.first);
  load_rows(smem.v, a.heads, tile, a.v, tile.first);

  float dk[4][dim / 16] = {}, dv[4][dim / 16] = {};
  for (int first = 0; first < tile.length; first += tile_rows) {
    sync_threads();
    load_rows(smem.q, a.heads, tile, a.q, first);
    load_rows(smem.dout, a.heads, tile, a.dout, first);
    RowStatistics rows;
    for (int i = 0; i < 4; ++i)
      if (const int row = first + part.row(i); row < tile.length) {
        rows.lse[i] = a.lse[tile.statistic(a.heads, row)];
        rows.delta[i] = a.delta[tile.statistic(a.heads, row)];
      }
    sync_threads();
    float p[4][4], ds[4][4];
    const DropMask kept(part, a.heads, tile, first, tile.first);
    differentiate(part, smem, a.heads, tile.length - tile.first, rows, kept, p, ds);
    store(part, p, smem.p);
    sync_threads();
    add_transposed_product(part, smem.p, smem.dout, rows_there(tile, first), dv);
    sync_threads();
    store(part, ds, smem.p);
    sync_threads();
    add_transposed_product(part, smem.p, smem.q, rows_there(tile, first), dk);
  }
  for (int i = 0; i < 4; ++i)
    if (const int row = tile.first + part.row(i); row < tile.length) {
      store_row(part, a.heads, tile, a.dk, row, dk[i], 1);
      store_row(part, a.heads, tile, a.dv, row, dv[i], 1);
    }
}

size_t workspace(const AttentionBackward::Args& a) { return a.lse.bytes(); }

void run(const AttentionBackward::Args& a, Stream& stream) {
  const Buffer delta(kernel_device, workspace(a));
  const PackedHeads heads(a);
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() {
    const Problem<T> problem{BackwardOperands<T>(a), delta.as<float>()};
    dispatch_dim(heads.dim, [&]<int dim>() {
      const auto config = [&](Here here = Here::current()) {
        return LaunchConfig{.grid = heads.grid(tile_rows),
                            .block = tile_threads,
                            .shared_bytes = sizeof(Smem<dim>),
                            .where = here};
      };
      launch(stream, config(), backward_of_queries<T, dim>, problem);
      launch(stream, config(), backward_of_keys<T, dim>, problem);
    });
  });
}

const Register<AttentionBackward> registered{{.name = "online_softmax",
                                              .device = kernel_device,
                                              .priority = 10,
                                              .dtypes = {DType::f32, DType::bf16},
                                              .workspace = workspace,
                                              .supports = supports_dim<AttentionBackward::Args>,
                                              .run = run}};

}  // namespace
}  // namespace tenon
