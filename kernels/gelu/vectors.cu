// GELU and its gradient, 16 bytes a thread: one vector where everything is aligned and whole, else element by
// element. Bound by memory bandwidth; erf and exp in fp32 come close to it in bf16.
#include <algorithm>
#include <initializer_list>

#include "kernels/base/registry.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/gelu.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

struct DeviceMath {
  __host__ __device__ static float erf(float x) { return erff(x); }
  __host__ __device__ static float tanh(float x) { return tanhf(x); }
  __host__ __device__ static float exp(float x) { return expf(x); }
};

template <class T>
inline constexpr int width = 16 / sizeof(T);

// The vector that starts at `first`, as far as it lies within `size` elements.
template <class T>
__device__ Vector<T, width<T>> read(const T* x, int64_t first, int64_t size, bool aligned) {
  if (aligned && first + width<T> <= size) return load_vector<width<T>>(x + first);
  Vector<T, width<T>> values;
  for (int i = 0; i < width<T> && first + i < size; ++i) values[i] = x[first + i];
  return values;
}

template <class T>
__device__ void write(T* y, int64_t first, int64_t size, bool aligned, const Vector<T, width<T>>& values) {
  if (aligned && first + width<T> <= size) return store_vector(y + first, values);
  for (int i = 0; i < width<T> && first + i < size; ++i) y[first + i] = values[i];
}

template <class T>
__device__ int64_t first_element() {
  return (int64_t{blockIdx.x} * threads + thread_number()) * width<T>;
}

template <class T>
__global__ void __launch_bounds__(threads)
    forward(const T* x, T* y, int64_t size, bool aligned, bool tanh_form) {
  const int64_t first = first_element<T>();
  if (first >= size) return;
  auto values = read(x, first, size, aligned);
  for (int i = 0; i < width<T>; ++i)
    values[i] = from_float<T>(gelu::value<DeviceMath>(to_float(values[i]), tanh_form));
  write(y, first, size, aligned, values);
}

template <class T>
__global__ void __launch_bounds__(threads)
    backward(const T* dy, const T* x, T* dx, int64_t size, bool aligned, bool tanh_form) {
  const int64_t first = first_element<T>();
  if (first >= size) return;
  const auto slopes = read(dy, first, size, aligned);
  auto values = read(x, first, size, aligned);
  for (int i = 0; i < width<T>; ++i)
    values[i] =
        from_float<T>(to_float(slopes[i]) * gelu::derivative<DeviceMath>(to_float(values[i]), tanh_form));
  write(dx, first, size, aligned, values);
}

bool are_aligned(std::initializer_list<const void*> addresses) {
  return std::all_of(addresses.begin(), addresses.end(),
                     [](const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; });
}

template <class T>
LaunchConfig config(int64_t size, Here here = Here::current()) {
  return {.grid = ceil_div(size, threads * width<T>), .block = threads, .where = here};
}

void run(const Gelu::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config<T>(a.x.size()), forward<T>, a.x.as<T>(), a.y.as<T>(), a.x.size(),
           are_aligned({a.x.data, a.y.data}), a.tanh_form);
  });
}

void run_backward(const GeluBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config<T>(a.x.size()), backward<T>, a.dy.as<T>(), a.x.as<T>(), a.dx.as<T>(), a.x.size(),
           are_aligned({a.dy.data, a.x.data, a.dx.data}), a.tanh_form);
  });
}

const Register<Gelu> registered{{.name = "vectors",
                                 .device = kernel_device,
                                 .priority = 10,
                                 .dtypes = {DType::f32, DType::bf16},
                                 .run = run}};
const Register<GeluBackward> registered_backward{{.name = "vectors",
                                                  .device = kernel_device,
                                                  .priority = 10,
                                                  .dtypes = {DType::f32, DType::bf16},
                                                  .run = run_backward}};

}  // namespace
}  // namespace tenon
