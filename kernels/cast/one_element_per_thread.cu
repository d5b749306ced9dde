// Casts, plainly: one thread, one element, by way of fp32, which holds every 16-bit number. Bound by memory
// bandwidth.
#include "kernels/base/registry.h"
#include "kernels/cast/cast.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class From, class To>
__global__ void cast(const From* x, To* y, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) y[i] = from_float<To>(to_float(x[i]));
}

void run(const Cast::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16, f16>(a.x.dtype, [&]<class From>() {
    dispatch<float, bf16, f16, double>(a.y.dtype, [&]<class To>() {
      launch(stream, {.grid = ceil_div(size, threads), .block = threads}, cast<From, To>, a.x.as<From>(),
             a.y.as<To>(), size);
    });
  });
}

const Register<Cast> registered{{.name = "one_element_per_thread",
                                 .device = kernel_device,
                                 .dtypes = {DType::f32, DType::bf16, DType::f16},
                                 .run = run}};

}  // namespace
}  // namespace tenon
