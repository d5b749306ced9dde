// Sums on a GPU, 16 bytes a load; how they are shared out depends on the shape alone, and so does the order
// of the additions. Bound by memory bandwidth.
//   Of columns: a block takes 32 vectors of columns, one a lane, and a share of the rows, of which each of
//   its 8 warps adds every 8th. The shares, of at least 64 rows, are added up by a second launch
//   (column_sums.h). Of all elements: at most 1024 blocks add up every so-manieth vector, and a last block
//   what they found.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/simt/store_rounded.h"
#include "kernels/sum/column_sums.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int64_t rows_of_share = 64, most_shares = 256;
constexpr int64_t vectors_of_block = 1024, most_blocks = 1024;

template <class T>
inline constexpr int width = 16 / sizeof(T);

template <class T>
struct RowsSmem {
  float partial[warps][warp_size * width<T>];
};

// partial (shares, N): the sums over each share of the rows.
template <class T>
__global__ void __launch_bounds__(threads)
    sum_share_of_rows(const T* x, int64_t stride, int64_t rows, int64_t columns, float* partial) {
  constexpr int block_columns = warp_size * width<T>;
  auto& smem = shared<RowsSmem<T>>();
  const int first = lane_number() * width<T>;
  const int64_t column = int64_t{blockIdx.x} * block_columns + first;
  const int64_t share = ceil_div(rows, gridDim.y);
  const int64_t begin = blockIdx.y * share, end = begin + share < rows ? begin + share : rows;
  float sums[width<T>] = {};
  if (column < columns)
#pragma unroll 4
    for (int64_t row = begin + warp_number(); row < end; row += warps) {
      const auto vector = load_vector<width<T>>(x + row * stride + column);
      for (int i = 0; i < width<T>; ++i) sums[i] += to_float(vector[i]);
    }
  store_rounded(&smem.partial[warp_number()][first], sums);
  sync_threads();
  const int own = thread_number();
  const int64_t own_column = int64_t{blockIdx.x} * block_columns + own;
  if (own >= block_columns || own_column >= columns) return;
  float sum = 0;
  for (int warp = 0; warp < warps; ++warp) sum += smem.partial[warp][own];
  partial[blockIdx.y * columns + own_column] = sum;
}

struct Smem {
  float partial[warps];
};

// y[block] = scale times the sum over this block's share of x.
template <class In, class Out>
__global__ void __launch_bounds__(threads) sum_share(const In* x, int64_t size, float scale, Out* y) {
  auto& smem = shared<Smem>();
  const int64_t first = int64_t{blockIdx.x} * threads + thread_number();
  const int64_t vectors = size / width<In>, rest = vectors * width<In> + first;
  float sum = rest < size ? to_float(x[rest]) : 0.0f;
#pragma unroll 4
  for (int64_t i = first; i < vectors; i += int64_t{gridDim.x} * threads) {
    const auto vector = load_vector<width<In>>(x + i * width<In>);
    for (int j = 0; j < width<In>; ++j) sum += to_float(vector[j]);
  }
  sum = warp_sum(sum);
  if (lane_number() == 0) smem.partial[warp_number()] = sum;
  sync_threads();
  if (thread_number() > 0) return;
  sum = 0;
  for (int warp = 0; warp < warps; ++warp) sum += smem.partial[warp];
  y[blockIdx.x] = from_float<Out>(scale * sum);
}

int64_t shares(const SumRows::Args& a) {
  return std::clamp<int64_t>(a.x.shape[0] / rows_of_share, 1, most_shares);
}

size_t workspace_rows(const SumRows::Args& a) {
  return static_cast<size_t>(shares(a) * a.x.shape[1]) * sizeof(float);
}

void sum_rows(const SumRows::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace_rows(a));
  auto* partial = scratch.as<float>();
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream,
           {.grid = {ceil_div(columns, warp_size * width<T>), shares(a)},
            .block = threads,
            .shared_bytes = sizeof(RowsSmem<T>)},
           sum_share_of_rows<T>, a.x.as<T>(), a.x.stride[0], rows, columns, partial);
    sum_columns(stream, partial, columns, shares(a), columns, a.y.as<T>());
  });
}

int64_t blocks(const SumAll::Args& a) {
  const int64_t vectors = ceil_div(a.x.size() * static_cast<int64_t>(size_of(a.x.dtype)), 16);
  return std::clamp<int64_t>(ceil_div(vectors, vectors_of_block), 1, most_blocks);
}

size_t workspace_all(const SumAll::Args& a) { return static_cast<size_t>(blocks(a)) * sizeof(float); }

void sum_all(const SumAll::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace_all(a));
  auto* partial = scratch.as<float>();
  const auto config = [](int64_t grid) {
    return LaunchConfig{.grid = grid, .block = threads, .shared_bytes = sizeof(Smem)};
  };
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config(blocks(a)), sum_share<T, float>, a.x.as<T>(), a.x.size(), 1.0f, partial);
    launch(stream, config(1), sum_share<float, T>, partial, blocks(a), static_cast<float>(a.scale),
           a.y.as<T>());
  });
}

bool is_aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

std::string supports_rows(const SumRows::Args& a) {
  const auto vector = static_cast<int64_t>(16 / size_of(a.x.dtype));
  const bool whole = a.x.shape[1] % vector == 0 && a.x.stride[0] % vector == 0 && is_aligned(a.x.data);
  return whole ? "" : "rows must be whole 16-byte vectors, aligned to 16 bytes";
}

std::string supports_all(const SumAll::Args& a) {
  return is_aligned(a.x.data) ? "" : "x must be aligned to 16 bytes";
}

const Register<SumAll> registered_all{{.name = "vectors",
                                       .device = kernel_device,
                                       .priority = 10,
                                       .dtypes = {DType::f32, DType::bf16},
                                       .workspace = workspace_all,
                                       .supports = supports_all,
                                       .run = sum_all}};
const Register<SumRows> registered_rows{{.name = "vectors",
                                         .device = kernel_device,
                                         .priority = 10,
                                         .dtypes = {DType::f32, DType::bf16},
                                         .workspace = workspace_rows,
                                         .supports = supports_rows,
                                         .run = sum_rows}};

}  // namespace
}  // namespace tenon
