// Functions of one number, plainly: one thread, one element, and the function is looked up by each. Bound by
// memory bandwidth, behind the look-up.
#include <utility>

#include "kernels/base/registry.h"
#include "kernels/elementwise/device_math.h"
#include "kernels/elementwise/formula.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <int... kinds>
__device__ float value(UnaryKind kind, float x, std::integer_sequence<int, kinds...>) {
  float y = 0;
  ((kind == UnaryKind{kinds} ? void(y = unary::value<UnaryKind{kinds}, DeviceMath>(x)) : void()), ...);
  return y;
}

template <int... kinds>
__device__ float derivative(UnaryKind kind, float x, std::integer_sequence<int, kinds...>) {
  float y = 0;
  ((kind == UnaryKind{kinds} ? void(y = unary::derivative<UnaryKind{kinds}, DeviceMath>(x)) : void()), ...);
  return y;
}

using Kinds = std::make_integer_sequence<int, unary_kinds>;

template <class T>
__global__ void forward(UnaryKind kind, const T* x, T* y, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) y[i] = from_float<T>(value(kind, to_float(x[i]), Kinds()));
}

template <class T>
__global__ void backward(UnaryKind kind, const T* dy, const T* x, T* dx, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) dx[i] = from_float<T>(to_float(dy[i]) * derivative(kind, to_float(x[i]), Kinds()));
}

void run(const Unary::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, forward<T>, a.kind, a.x.as<T>(),
           a.y.as<T>(), size);
  });
}

void run_backward(const UnaryBackward::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, backward<T>, a.kind, a.dy.as<T>(),
           a.x.as<T>(), a.dx.as<T>(), size);
  });
}

const Register<Unary> registered{{.name = "one_element_per_thread",
                                  .device = kernel_device,
                                  .dtypes = {DType::f32, DType::bf16},
                                  .run = run}};
const Register<UnaryBackward> registered_backward{{.name = "one_element_per_thread",
                                                   .device = kernel_device,
                                                   .dtypes = {DType::f32, DType::bf16},
                                                   .run = run_backward}};

}  // namespace
}  // namespace tenon
