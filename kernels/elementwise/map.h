// y[i] = f(x[i], …) on a GPU: a thread takes as many neighbouring elements as 16 bytes hold of the widest
// type, as vectors where everything is aligned and whole, else one by one. Bound by memory bandwidth as long
// as f is short.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

inline constexpr int map_threads = 256;

inline bool are_aligned(std::initializer_list<const void*> addresses) {
  return std::all_of(addresses.begin(), addresses.end(),
                     [](const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; });
}

// The vector that starts at `first`, as far as it lies within `size` elements.
template <int width, class T>
__device__ Vector<T, width> read_elements(const T* x, int64_t first, int64_t size, bool aligned) {
  if (aligned && first + width <= size) return load_vector<width>(x + first);
  Vector<T, width> values = {};
  for (int i = 0; i < width && first + i < size; ++i) values[i] = x[first + i];
  return values;
}

template <int width, class T>
__device__ void write_elements(T* y, int64_t first, int64_t size, bool aligned,
                               const Vector<T, width>& values) {
  if (aligned && first + width <= size) return store_vector(y + first, values);
  for (int i = 0; i < width && first + i < size; ++i) y[first + i] = values[i];
}

template <class Out, int width, class F, class... In>
__device__ Vector<Out, width> map_vectors(const F& f, const Vector<In, width>&... x) {
  Vector<Out, width> y;
  for (int i = 0; i < width; ++i) y[i] = from_float<Out>(f(to_float(x[i])...));
  return y;
}

template <class F, class Out, class... In>
__global__ void __launch_bounds__(map_threads)
    map_kernel(F f, int64_t size, bool aligned, Out* y, const In*... x) {
  constexpr int width = 16 / static_cast<int>(std::max({sizeof(Out), sizeof(In)...}));
  const int64_t first = (int64_t{blockIdx.x} * map_threads + thread_number()) * width;
  if (first >= size) return;
  const auto values = map_vectors<Out, width>(f, read_elements<width>(x, first, size, aligned)...);
  write_elements(y, first, size, aligned, values);
}

// F is a struct with `float operator()(float…) const` for the device. y may be one of x.
template <class F, class Out, class... In>
void map_elements(Stream& stream, int64_t size, const F& f, Out* y, const In*... x) {
  constexpr int width = 16 / static_cast<int>(std::max({sizeof(Out), sizeof(In)...}));
  void (*const kernel)(F, int64_t, bool, Out*, const In*...) = map_kernel<F, Out, In...>;
  launch(stream, {.grid = ceil_div(size, map_threads * width), .block = map_threads}, kernel, f, size,
         are_aligned({y, x...}), y, x...);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
