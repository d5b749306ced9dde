// Products and linear combinations, plainly: one thread, one element. Bound by memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/elementwise/arithmetic.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void mul(const T* a, const T* b, T* y, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) y[i] = from_float<T>(to_float(a[i]) * to_float(b[i]));
}

template <class T>  // b may be null
__global__ void axpby(float alpha, const T* a, float beta, const T* b, T* y, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  const float scaled = alpha * to_float(a[i]);
  y[i] = from_float<T>(b ? scaled + beta * to_float(b[i]) : scaled);
}

void run_mul(const Mul::Args& a, Stream& stream) {
  const int64_t size = a.y.size();
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, mul<T>, a.a.as<T>(), a.b.as<T>(),
           a.y.as<T>(), size);
  });
}

void run_axpby(const Axpby::Args& a, Stream& stream) {
  const int64_t size = a.y.size();
  dispatch<float, bf16>(a.y.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, axpby<T>, static_cast<float>(a.alpha),
           a.a.as<T>(), static_cast<float>(a.beta), a.b.defined() ? a.b.as<T>() : nullptr, a.y.as<T>(), size);
  });
}

const Register<Mul> registered_mul{{.name = "one_element_per_thread",
                                    .device = kernel_device,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .run = run_mul}};
const Register<Axpby> registered_axpby{{.name = "one_element_per_thread",
                                        .device = kernel_device,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .run = run_axpby}};

}  // namespace
}  // namespace tenon
