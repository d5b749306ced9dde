// Cross entropy and its slopes in one pass, a warp a row. The lanes hold the row in registers, or read rows
// of more than 8 vectors a lane twice. The first pass finds the largest logit and the sum of exponentials
// together: a lane rescales its sum where its largest grows (Milakov and Gimelshein 2018), and shuffles bring
// the lanes together. The second writes the slopes. At most 1024 blocks walk the rows and add up their
// losses, and a second launch adds the blocks'; the split depends on the number of rows alone. Bound by
// memory bandwidth for many classes, by the latency of two launches for two.
#include <algorithm>
#include <cfloat>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cross_entropy/formula.h"
#include "kernels/cross_entropy/losses.h"
#include "kernels/gather_rows/checked_index.h"
#include "kernels/layer_norm/row_vectors.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t most_blocks = 1024;

template <class T>
struct Rows {
  const T* logits;
  const int32_t* labels;
  T* slopes;  // may be null
  int64_t rows, classes;
  IndexFault* fault;
};

// The normaliser of a row, in every lane. A lane starts from the least finite number: one that has seen
// nothing but -infinity must not come to infinity - infinity.
template <class T, int width, int held, class Each>
__device__ cross_entropy::Normaliser<float> normalise(HeldRow<T, width, held>& held_z, const T* z,
                                                      const Each& each) {
  float largest = -FLT_MAX, sum = 0;
  each([&](int k, int64_t column) {
    const auto& values = held_z.read(k, z + column);
    float most = largest;
    for (int i = 0; i < width; ++i) most = fmaxf(most, to_float(values[i]));
    sum *= expf(largest - most);
    largest = most;
    for (int i = 0; i < width; ++i) sum += expf(to_float(values[i]) - largest);
  });
  const float row_largest = warp_max(largest);
  return {row_largest, warp_sum(sum * expf(largest - row_largest))};
}

// sums[block] = the sum of the losses of this block's rows.
template <class T, int width, int held>
__global__ void __launch_bounds__(loss_threads) forward(Rows<T> rows, float* sums) {
  const auto count = static_cast<float>(rows.rows);
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, warp_size>(rows.classes, lane_number(), body);
  };
  HeldRow<T, width, held> held_z;
  float sum = 0;
  const int64_t stride = int64_t{gridDim.x} * loss_warps;
  for (int64_t row = int64_t{blockIdx.x} * loss_warps + warp_number(); row < rows.rows; row += stride) {
    const T* z = rows.logits + row * rows.classes;
    const int32_t label = rows.labels[row];
    const auto normaliser = normalise(held_z, z, each);
    if (lane_number() == 0) {
      const int64_t place = checked_index(rows.fault, IndexKind::label, label, row, rows.classes);
      sum += normaliser.loss(to_float(z[place]));
    }
    if (!rows.slopes) continue;
    each([&](int k, int64_t column) {
      const auto values = held_z.again(k, z + column);
      Vector<T, width> slopes;
      for (int i = 0; i < width; ++i) {
        const float slope = normaliser.probability(to_float(values[i])) - (column + i == label ? 1.0f : 0.0f);
        slopes[i] = from_float<T>(slope / count);
      }
      store_vector(rows.slopes + row * rows.classes + column, slopes);
    });
  }
  sum = block_sum(sum, shared<LossSmem>().partial);
  if (thread_number() == 0) sums[blockIdx.x] = sum;
}

int64_t blocks(const CrossEntropy::Args& a) {
  return std::min(ceil_div(a.logits.shape[0], loss_warps), most_blocks);
}

size_t workspace(const CrossEntropy::Args& a) { return static_cast<size_t>(blocks(a)) * sizeof(float); }

void run(const CrossEntropy::Args& a, Stream& stream) {
  const Buffer partial(kernel_device, workspace(a));
  dispatch<float, bf16>(a.logits.dtype, [&]<class T>() {
    const Rows<T> rows{
        a.logits.as<T>(),  a.labels.as<int32_t>(), a.slopes.defined() ? a.slopes.as<T>() : nullptr,
        a.logits.shape[0], a.logits.shape[1],      index_fault(kernel_device)};
    dispatch_row<T, warp_size, 1, 8>(rows.classes, {rows.logits, rows.slopes}, [&]<int width, int held>() {
      launch(stream, {.grid = blocks(a), .block = loss_threads, .shared_bytes = sizeof(LossSmem)},
             forward<T, width, held>, rows, partial.as<float>());
    });
    launch_mean(stream, partial.as<float>(), blocks(a), rows.rows, a.loss.as<T>());
  });
}

const Register<CrossEntropy> registered{{.name = "warp_per_row",
                                         .device = kernel_device,
                                         .priority = 10,
                                         .dtypes = {DType::f32, DType::bf16},
                                         .workspace = workspace,
                                         .run = run}};

}  // namespace
}  // namespace tenon
