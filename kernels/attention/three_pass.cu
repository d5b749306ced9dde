// Attention on a GPU as the formula reads, a warp per row, with all probabilities in memory. Forward: a pass
// writes the row's scores, one makes them its probabilities, one multiplies them with the values. Backward: a
// warp per query writes its probabilities and the gradients of its scores and sums up dq; then a warp per key
// sums up dk and dv. Bound by reading q, k and v anew for every row.
#include "kernels/attention/attention.h"
#include "kernels/attention/head_tiles.h"
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
struct Forward : ForwardOperands<T> {
  float* scores;  // (heads, tokens, longest)
  int64_t longest;
};

template <class T>
struct Backward : BackwardOperands<T> {
  float *weights, *dscores;  // (heads, tokens, longest): what v was multiplied by, and the scores' gradients
  int64_t longest;
};

template <class T>
__device__ float dot(const T* a, const T* b, int size) {
  float sum = 0;
  for (int i = 0; i < size; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
}

// 1, 0 or the scale of what is kept.
__device__ float drop_factor(const PackedHeads& heads, uint64_t element) {
  if (!heads.drops) return 1;
  return heads.drop_key(element) >= heads.drop_threshold ? heads.drop_scale : 0;
}

template <class T>
__global__ void __launch_bounds__(warps* warp_size) forward(Forward<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, warps);
  const int row = tile.first + warp_number(), lane = lane_number();
  if (row >= tile.length) return;
  const auto row_of = [&](const auto& x, int position) { return tile.row(a.heads, x, position); };
  float* scores = a.scores + tile.statistic(a.heads, row) * a.longest;

  float largest = -INFINITY;
  for (int j = lane; j < tile.length; j += warp_size) {
    scores[j] = a.heads.scale * dot(row_of(a.q, row), row_of(a.k, j), a.heads.dim);
    largest = fmaxf(largest, scores[j]);
  }
  largest = warp_max(largest);
  float sum = 0;
  for (int j = lane; j < tile.length; j += warp_size) sum += scores[j] = expf(scores[j] - largest);
  sum = warp_sum(sum);
  for (int j = lane; j < tile.length; j += warp_size)
    scores[j] = scores[j] / sum * drop_factor(a.heads, tile.drop_element(a.heads, row, j));
  sync_warp();
  for (int i = lane; i < a.heads.dim; i += warp_size) {
    float out = 0;
    for (int j = 0; j < tile.length; ++j) out += scores[j] * to_float(row_of(a.v, j)[i]);
    row_of(a.out, row)[i] = from_float<T>(out);
  }
  if (lane == 0) a.lse[tile.statistic(a.heads, row)] = largest + logf(sum);
}

template <class T>
__global__ void __launch_bounds__(warps* warp_size) backward_of_queries(Backward<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, warps);
  const int row = tile.first + warp_number(), lane = lane_number(), dim = a.heads.dim;
  if (row >= tile.length) return;
  const auto row_of = [&](const auto& x, int position) { return tile.row(a.heads, x, position); };
  const int64_t first = tile.statistic(a.heads, row) * a.longest;
  float *weights = a.weights + first, *dscores = a.dscores + first;

  const float lse = a.lse[tile.statistic(a.heads, row)];
  const T* dout = row_of(a.dout, row);
  // In the order of the products below: where one key takes all, their difference is exactly 0.
  const float delta = dot(dout, row_of(a.out, row), dim);
  for (int j = lane; j < tile.length; j += warp_size) {
    const float p = expf(a.heads.scale * dot(row_of(a.q, row), row_of(a.k, j), dim) - lse);
    const float factor = drop_factor(a.heads, tile.drop_element(a.heads, row, j));
    weights[j] = p * factor;
    dscores[j] = a.heads.scale * p * (dot(dout, row_of(a.v, j), dim) * factor - delta);
  }
  sync_warp();
  for (int i = lane; i < dim; i += warp_size) {
    float dq = 0;
    for (int j = 0; j < tile.length; ++j) dq += dscores[j] * to_float(row_of(a.k, j)[i]);
    row_of(a.dq, row)[i] = from_float<T>(dq);
  }
}

template <class T>
__global__ void __launch_bounds__(warps* warp_size) backward_of_keys(Backward<T> a) {
  const HeadTile tile = HeadTile::of_block(a.heads, warps);
  const int key = tile.first + warp_number();
  if (key >= tile.length) return;
  const auto row_of = [&](const auto& x, int position) { return tile.row(a.heads, x, position); };
  const int64_t first = tile.statistic(a.heads, 0) * a.longest + key;
  for (int i = lane_number(); i < a.heads.dim; i += warp_size) {
    float dk = 0, dv = 0;
    for (int row = 0; row < tile.length; ++row) {
      dk += a.dscores[first + row * a.longest] * to_float(row_of(a.q, row)[i]);
      dv += a.weights[first + row * a.longest] * to_float(row_of(a.dout, row)[i]);
    }
    row_of(a.dk, key)[i] = from_float<T>(dk);
    row_of(a.dv, key)[i] = from_float<T>(dv);
  }
}

template <class Args>
size_t scores(const Args& a) {
  return static_cast<size_t>(a.num_heads * a.q.shape[0] * a.max_seqlen);
}

size_t workspace(const Attention::Args& a) { return scores(a) * sizeof(float); }
size_t workspace_of_backward(const AttentionBackward::Args& a) { return 2 * scores(a) * sizeof(float); }

LaunchConfig config(const PackedHeads& heads, Here here = Here::current()) {
  return {.grid = heads.grid(warps), .block = warps * warp_size, .where = here};
}

void run(const Attention::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace(a));
  const PackedHeads heads(a);
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() {
    launch(stream, config(heads), forward<T>,
           Forward<T>{ForwardOperands<T>(a), scratch.as<float>(), a.max_seqlen});
  });
}

void run_backward(const AttentionBackward::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace_of_backward(a));
  const PackedHeads heads(a);
  auto* weights = scratch.as<float>();
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() {
    const Backward<T> arguments{BackwardOperands<T>(a), weights, weights + scores(a), a.max_seqlen};
    launch(stream, config(heads), backward_of_queries<T>, arguments);
    launch(stream, config(heads), backward_of_keys<T>, arguments);
  });
}

const Register<Attention> registered{{.name = "three_pass",
                                      .device = kernel_device,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .workspace = workspace,
                                      .run = run}};
const Register<AttentionBackward> registered_backward{{.name = "three_pass",
                                                       .device = kernel_device,
                                                       .dtypes = {DType::f32, DType::bf16},
                                                       .workspace = workspace_of_backward,
                                                       .run = run_backward}};

}  // namespace
}  // namespace tenon
