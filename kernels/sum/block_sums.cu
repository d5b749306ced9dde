// Sums on a GPU. Of columns: kernels/sum/column_sums.h. Of all elements: at most 1024 blocks each add up
// every so-manieth element, and a last block adds what they found; how many there are depends on the size
// alone, so the order of the additions does, too. Bound by memory bandwidth.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/simt/simt.h"
#include "kernels/sum/column_sums.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int64_t elements_of_block = 2048, most_blocks = 1024;

struct Smem {
  float partial[warps];
};

// y[block] = scale times the sum over this block's share of x.
template <class In, class Out>
__global__ void __launch_bounds__(threads) sum_share(const In* x, int64_t size, float scale, Out* y) {
  auto& smem = shared<Smem>();
  float sum = 0;
  const int64_t stride = int64_t{gridDim.x} * threads;
  for (int64_t i = int64_t{blockIdx.x} * threads + thread_number(); i < size; i += stride)
    sum += to_float(x[i]);
  sum = warp_sum(sum);
  if (lane_number() == 0) smem.partial[warp_number()] = sum;
  sync_threads();
  if (thread_number() > 0) return;
  sum = 0;
  for (int warp = 0; warp < warps; ++warp) sum += smem.partial[warp];
  y[blockIdx.x] = from_float<Out>(scale * sum);
}

int64_t blocks(const SumAll::Args& a) {
  return std::min(ceil_div(a.x.size(), elements_of_block), most_blocks);
}

size_t workspace(const SumAll::Args& a) { return static_cast<size_t>(blocks(a)) * sizeof(float); }

void sum_all(const SumAll::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace(a));
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

void sum_rows(const SumRows::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    sum_columns(stream, a.x.as<T>(), a.x.stride[0], a.x.shape[0], a.x.shape[1], a.y.as<T>());
  });
}

const Register<SumAll> registered_all{{.name = "block_sums",
                                       .device = kernel_device,
                                       .dtypes = {DType::f32, DType::bf16},
                                       .workspace = workspace,
                                       .run = sum_all}};
const Register<SumRows> registered_rows{
    {.name = "block_sums", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = sum_rows}};

}  // namespace
}  // namespace tenon
