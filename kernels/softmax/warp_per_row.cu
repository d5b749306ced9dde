// Softmax and its gradient, a warp a row. The lanes hold the row in registers, so that it is read from memory
// once, and take maximum and sums by shuffles; exp is computed twice, which is less than a second trip. Rows
// of more than 8 vectors a lane are read again, from L1 or L2. Bound by memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/layer_norm/row_vectors.h"
#include "kernels/softmax/softmax.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block
constexpr int64_t most_columns = 8192;

template <class T, int width, int held>
__global__ void __launch_bounds__(warps* warp_size) forward(const T* x, T* y, int64_t rows, int64_t columns) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows) return;
  x += row * columns, y += row * columns;
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, warp_size>(columns, lane_number(), body);
  };
  HeldRow<T, width, held> held_x;
  float largest = -INFINITY, sum = 0;
  each([&](int k, int64_t column) {
    const auto& values = held_x.read(k, x + column);
    for (int i = 0; i < width; ++i) largest = fmaxf(largest, to_float(values[i]));
  });
  largest = warp_max(largest);
  each([&](int k, int64_t column) {
    const auto values = held_x.again(k, x + column);
    for (int i = 0; i < width; ++i) sum += expf(to_float(values[i]) - largest);
  });
  const float factor = 1.0f / warp_sum(sum);
  each([&](int k, int64_t column) {
    auto values = held_x.again(k, x + column);
    for (int i = 0; i < width; ++i) values[i] = from_float<T>(expf(to_float(values[i]) - largest) * factor);
    store_vector(y + column, values);
  });
}

template <class T, int width, int held>
__global__ void __launch_bounds__(warps* warp_size)
    backward(const T* dy, const T* y, T* dx, int64_t rows, int64_t columns) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows) return;
  dy += row * columns, y += row * columns, dx += row * columns;
  const auto each = [&](const auto& body) {
    for_each_vector<width, held, warp_size>(columns, lane_number(), body);
  };
  HeldRow<T, width, held> held_dy, held_y;
  float dot = 0;
  each([&](int k, int64_t column) {
    const auto &slopes = held_dy.read(k, dy + column), &values = held_y.read(k, y + column);
    for (int i = 0; i < width; ++i) dot += to_float(values[i]) * to_float(slopes[i]);
  });
  dot = warp_sum(dot);
  each([&](int k, int64_t column) {
    const auto slopes = held_dy.again(k, dy + column), values = held_y.again(k, y + column);
    Vector<T, width> result;
    for (int i = 0; i < width; ++i)
      result[i] = from_float<T>(to_float(values[i]) * (to_float(slopes[i]) - dot));
    store_vector(dx + column, result);
  });
}

std::string why_not(int64_t columns) {
  return columns > most_columns ? "a warp is too few threads for rows of more than 8192 columns" : "";
}

LaunchConfig config(int64_t rows, Here here = Here::current()) {
  return {.grid = ceil_div(rows, warps), .block = warps * warp_size, .where = here};
}

void run(const Softmax::Args& a, Stream& stream) {
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    dispatch_row<T, warp_size, 4, 8>(columns, {a.x.data, a.y.data}, [&]<int width, int held>() {
      launch(stream, config(rows), forward<T, width, held>, a.x.as<T>(), a.y.as<T>(), rows, columns);
    });
  });
}

void run_backward(const SoftmaxBackward::Args& a, Stream& stream) {
  const int64_t rows = a.y.shape[0], columns = a.y.shape[1];
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    dispatch_row<T, warp_size, 4, 8>(columns, {a.dy.data, a.y.data, a.dx.data}, [&]<int width, int held>() {
      launch(stream, config(rows), backward<T, width, held>, a.dy.as<T>(), a.y.as<T>(), a.dx.as<T>(), rows,
             columns);
    });
  });
}

const Register<Softmax> registered{{.name = "warp_per_row",
                                    .device = kernel_device,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .supports = [](const Softmax::Args& a) { return why_not(a.x.shape[1]); },
                                    .run = run}};
const Register<SoftmaxBackward> registered_backward{
    {.name = "warp_per_row",
     .device = kernel_device,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16},
     .supports = [](const SoftmaxBackward::Args& a) { return why_not(a.y.shape[1]); },
     .run = run_backward}};

}  // namespace
}  // namespace tenon
