// Attention on a GPU in fp32 tiles of shared memory, with the softmax computed as the tiles come (Milakov and
// Gimelshein 2018; Dao et al. 2022): a block of 256 threads takes 64 queries of a head and walks over its
// keys, 64 at a time; a row's maximum and sum are kept up to date, and what was summed up so far is scaled
// down whenever a larger score appears. Scores never reach memory. A thread holds 4 x 4 scores and 4 rows of
// dim / 16 outputs.
//
// Bound by fp32 arithmetic: 4 * dim operations a score, and 12 shared-memory cycles for each 64 multiply-adds
// of a warp, just below what an SM does meanwhile. By arithmetic, not measured: at most 67 TFLOP/s on an
// H100.
#include "kernels/attention/attention.h"
#include "kernels/attention/fp32_tiles.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <int dim>
struct Smem {
  Fp32Tile<dim> q, k, v;
  Fp32Tile<tile_rows> p;
};

template <class T, int dim>
__global__ void __launch_bounds__(tile_threads) forward(ForwardOperands<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, tile_rows);
  if (tile.first >= tile.length) return;
  auto& smem = shared<Smem<dim>>();
  const Part part;
  load_rows(smem.q, a.heads, tile, a.q, tile.first);

  float largest[4], sum[4], out[4][dim / 16] = {};
  for (int i = 0; i < 4; ++i) {
    largest[i] = -INFINITY;
    sum[i] = 0;
  }
  for (int first = 0; first < tile.length; first += tile_rows) {
    sync_threads();
    load_rows(smem.k, a.heads, tile, a.k, first);
    load_rows(smem.v, a.heads, tile, a.v, first);
    sync_threads();
    float p[4][4];
    multiply_rows(part, smem.q, smem.k, a.heads.dim, p);
    const DropMask kept(part, a.heads, tile, tile.first, first);
    for (int i = 0; i < 4; ++i) {
      float most = largest[i];
      for (int j = 0; j < 4; ++j) {
        p[i][j] = first + part.column(j) < tile.length ? a.heads.scale * p[i][j] : -INFINITY;
        most = fmaxf(most, p[i][j]);
      }
      most = part.max_of_row(most);
      float added = 0;
      for (int j = 0; j < 4; ++j) added += p[i][j] = expf(p[i][j] - most);
      const float shrink = expf(largest[i] - most);
      sum[i] = sum[i] * shrink + part.sum_of_row(added);
      largest[i] = most;
      for (float& value : out[i]) value *= shrink;
      for (int j = 0; j < 4; ++j) smem.p[part.row(i)][part.column(j)] = kept(i, j) ? p[i][j] : 0;
    }
    sync_warp();  // a row of p is one warp's alone
    add_product(part, smem.p, smem.v, rows_there(tile, first), out);
  }

  for (int i = 0; i < 4; ++i) {
    const int row = tile.first + part.row(i);
    if (row >= tile.length) return;
    store_row(part, a.heads, tile, a.out, row, out[i], a.heads.drop_scale / sum[i]);
    if (part.x == 0) a.lse[tile.statistic(a.heads, row)] = largest[i] + logf(sum[i]);
  }
}

void run(const Attention::Args& a, Stream& stream) {
  const PackedHeads heads(a);
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() {
    dispatch_dim(heads.dim, [&]<int dim>() {
      launch(stream,
             {.grid = heads.grid(tile_rows), .block = tile_threads, .shared_bytes = sizeof(Smem<dim>)},
             forward<T, dim>, ForwardOperands<T>(a));
    });
  });
}

const Register<Attention> registered{{.name = "online_softmax",
                                      .device = kernel_device,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .supports = supports_dim<Attention::Args>,
                                      .run = run}};

}  // namespace
}  // namespace tenon
