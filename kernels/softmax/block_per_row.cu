// Softmax and its gradient, plainly: a block a row, which it passes through memory three times forward (for
// the maximum, the sum, the result) and twice backward. Bound by memory bandwidth for rows beyond the cache,
// before that by the barriers of each row.
#include "kernels/base/registry.h"
#include "kernels/simt/block_reduce.h"
#include "kernels/softmax/softmax.h"

namespace tenon {
namespace {

constexpr int warps = 4, threads = warps * warp_size;

struct Smem {
  float partial[warps];
};

template <class T>
__global__ void forward(const T* x, T* y, int64_t columns) {
  auto& smem = shared<Smem>();
  x += blockIdx.x * columns, y += blockIdx.x * columns;
  float largest = -INFINITY, sum = 0;
  for (int64_t i = thread_number(); i < columns; i += threads) largest = fmaxf(largest, to_float(x[i]));
  largest = block_max(largest, smem.partial);
  for (int64_t i = thread_number(); i < columns; i += threads) sum += expf(to_float(x[i]) - largest);
  sum = block_sum(sum, smem.partial);
  for (int64_t i = thread_number(); i < columns; i += threads)
    y[i] = from_float<T>(expf(to_float(x[i]) - largest) / sum);
}

template <class T>
__global__ void backward(const T* dy, const T* y, T* dx, int64_t columns) {
  auto& smem = shared<Smem>();
  dy += blockIdx.x * columns, y += blockIdx.x * columns, dx += blockIdx.x * columns;
  float dot = 0;
  for (int64_t i = thread_number(); i < columns; i += threads) dot += to_float(y[i]) * to_float(dy[i]);
  dot = block_sum(dot, smem.partial);
  for (int64_t i = thread_number(); i < columns; i += threads)
    dx[i] = from_float<T>(to_float(y[i]) * (to_float(dy[i]) - dot));
}

LaunchConfig config(int64_t rows, Here here = Here::current()) {
  return {.grid = rows, .block = threads, .shared_bytes = sizeof(Smem), .where = here};
}

void run(const Softmax::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config(a.x.shape[0]), forward<T>, a.x.as<T>(), a.y.as<T>(), a.x.shape[1]);
  });
}

void run_backward(const SoftmaxBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    launch(stream, config(a.y.shape[0]), backward<T>, a.dy.as<T>(), a.y.as<T>(), a.dx.as<T>(), a.y.shape[1]);
  });
}

const Register<Softmax> registered{
    {.name = "block_per_row", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = run}};
const Register<SoftmaxBackward> registered_backward{{.name = "block_per_row",
                                                     .device = kernel_device,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .run = run_backward}};

}  // namespace
}  // namespace tenon
