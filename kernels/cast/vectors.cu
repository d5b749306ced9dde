// Casts, 16 bytes of the wider type a thread: kernels/elementwise/map.h. Bound by memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/cast/cast.h"
#include "kernels/elementwise/map.h"

namespace tenon {
namespace {

struct Same {
  __device__ float operator()(float x) const { return x; }  // fp32 holds every 16-bit number
};

void run(const Cast::Args& a, Stream& stream) {
  dispatch<float, bf16, f16>(a.x.dtype, [&]<class From>() {
    dispatch<float, bf16, f16, double>(a.y.dtype, [&]<class To>() {
      map_elements(stream, a.x.size(), Same(), a.y.as<To>(), a.x.as<From>());
    });
  });
}

const Register<Cast> registered{{.name = "vectors",
                                 .device = kernel_device,
                                 .priority = 10,
                                 .dtypes = {DType::f32, DType::bf16, DType::f16},
                                 .run = run}};

}  // namespace
}  // namespace tenon
