// GELU and its gradient, plainly: one thread, one element. Bound by memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/elementwise/device_math.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/gelu.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void forward(const T* x, T* y, int64_t size, bool tanh_form) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) y[i] = from_float<T>(gelu::value<DeviceMath>(to_float(x[i]), tanh_form));
}

template <class T>
__global__ void backward(const T* dy, const T* x, T* dx, int64_t size, bool tanh_form) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  dx[i] = from_float<T>(to_float(dy[i]) * gelu::derivative<DeviceMath>(to_float(x[i]), tanh_form));
}

void run(const Gelu::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, forward<T>, a.x.as<T>(), a.y.as<T>(),
           size, a.tanh_form);
  });
}

void run_backward(const GeluBackward::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, backward<T>, a.dy.as<T>(),
           a.x.as<T>(), a.dx.as<T>(), size, a.tanh_form);
  });
}

const Register<Gelu> registered{{.name = "one_element_per_thread",
                                 .device = kernel_device,
                                 .dtypes = {DType::f32, DType::bf16},
                                 .run = run}};
const Register<GeluBackward> registered_backward{{.name = "one_element_per_thread",
                                                  .device = kernel_device,
                                                  .dtypes = {DType::f32, DType::bf16},
                                                  .run = run_backward}};

}  // namespace
}  // namespace tenon
