// The gradient of layer normalisation, a block a row and at most 512 blocks, each of which walks the rows
// with that stride. A thread keeps the same columns throughout: x and dy are read once and held in registers,
// and so are its sums of dgamma and dbeta, which a second launch adds up over the blocks in their order. The
// split depends on the number of rows alone. Bound by memory bandwidth: dy and x in, dx out.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/layer_norm/row_vectors.h"
#include "kernels/simt/simt.h"
#include "kernels/sum/column_sums.h"

namespace tenon {
namespace {

constexpr int warps = 4, threads = warps * warp_size;
constexpr int64_t most_blocks = 512;

template <class T>
struct Rows {
  const T *dy, *x, *gamma;
  const float *mean, *rstd;
  T* dx;
  float* partial;  // (blocks, 2, H): this block's dgamma and dbeta
  int64_t rows, columns;
};

// Of the row at hand and of the one before it, which slower warps may still be reading.
struct Smem {
  float sum[2][warps], dot[2][warps];
};

template <class T, int width, int held>
__global__ void __launch_bounds__(threads) backward(Rows<T> rows) {
  auto& smem = shared<Smem>();
  const int64_t columns = rows.columns;
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, threads>(columns, thread_number(), body);
  };
  float* dgamma = rows.partial + 2 * blockIdx.x * columns;
  float* dbeta = dgamma + columns;
  HeldRow<T, width, held> held_dy, held_x;
  HeldSums<width, held> dgamma_sums, dbeta_sums;
  each([&](int k, int64_t column) {
    dgamma_sums.clear(k, dgamma + column);
    dbeta_sums.clear(k, dbeta + column);
  });

  int parity = 0;
  for (int64_t row = blockIdx.x; row < rows.rows; row += gridDim.x, parity ^= 1) {
    const T *dy = rows.dy + row * columns, *x = rows.x + row * columns;
    const float mean = rows.mean[row], rstd = rows.rstd[row];
    float sum = 0, dot = 0;  // over the row, of dy gamma and of dy gamma (x - mean) rstd
    each([&](int k, int64_t column) {
      const auto &slopes = held_dy.read(k, dy + column), &values = held_x.read(k, x + column);
      const auto gamma = load_vector<width>(rows.gamma + column);
      for (int i = 0; i < width; ++i) {
        const float scaled = to_float(slopes[i]) * to_float(gamma[i]);
        sum += scaled;
        dot += scaled * ((to_float(values[i]) - mean) * rstd);
      }
    });
    sum = warp_sum(sum), dot = warp_sum(dot);
    if (lane_number() == 0) smem.sum[parity][warp_number()] = sum, smem.dot[parity][warp_number()] = dot;
    sync_threads();
    sum = dot = 0;
    for (int warp = 0; warp < warps; ++warp) sum += smem.sum[parity][warp], dot += smem.dot[parity][warp];
    sum /= static_cast<float>(columns), dot /= static_cast<float>(columns);

    each([&](int k, int64_t column) {
      const auto slopes = held_dy.again(k, dy + column), values = held_x.again(k, x + column);
      const auto gamma = load_vector<width>(rows.gamma + column);
      Vector<T, width> dx;
      for (int i = 0; i < width; ++i) {
        const float slope = to_float(slopes[i]), normal = (to_float(values[i]) - mean) * rstd;
        dx[i] = from_float<T>(rstd * (slope * to_float(gamma[i]) - sum - normal * dot));
        dgamma_sums.add(k, dgamma + column, i, slope * normal);
        dbeta_sums.add(k, dbeta + column, i, slope);
      }
      store_vector(rows.dx + row * columns + column, dx);
    });
  }
  each([&](int k, int64_t column) {
    dgamma_sums.store(k, dgamma + column);
    dbeta_sums.store(k, dbeta + column);
  });
}

int64_t blocks(const LayerNormBackward::Args& a) { return std::min(a.x.shape[0], most_blocks); }

size_t workspace(const LayerNormBackward::Args& a) {
  return static_cast<size_t>(2 * blocks(a) * a.x.shape[1]) * sizeof(float);
}

void run(const LayerNormBackward::Args& a, Stream& stream) {
  const Buffer partial(kernel_device, workspace(a));
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const Rows<T> rows{a.dy.as<T>(),        a.x.as<T>(),        a.gamma.as<T>(),
                       a.mean.as<float>(),  a.rstd.as<float>(), a.dx.as<T>(),
                       partial.as<float>(), a.x.shape[0],       a.x.shape[1]};
    dispatch_row<T, threads, 2, 4>(
        rows.columns, {rows.dy, rows.x, rows.gamma, rows.dx}, [&]<int width, int held>() {
          launch(stream, {.grid = blocks(a), .block = threads, .shared_bytes = sizeof(Smem)},
                 backward<T, width, held>, rows);
        });
    const int64_t stride = 2 * rows.columns;
    sum_columns(stream, rows.partial, stride, blocks(a), rows.columns, a.dgamma.as<T>());
    sum_columns(stream, rows.partial + rows.columns, stride, blocks(a), rows.columns, a.dbeta.as<T>());
  });
}

const Register<LayerNormBackward> registered{{.name = "block_per_row",
                                              .device = kernel_device,
                                              .priority = 10,
                                              .dtypes = {DType::f32, DType::bf16},
                                              .workspace = workspace,
                                              .run = run}};

}  // namespace
}  // namespace tenon
