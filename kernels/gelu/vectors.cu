// GELU and its gradient, 16 bytes a thread: kernels/elementwise/map.h. Bound by memory bandwidth; erf and exp
// in fp32 come close to it in bf16.
#include "kernels/base/registry.h"
#include "kernels/elementwise/device_math.h"
#include "kernels/elementwise/map.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/gelu.h"

namespace tenon {
namespace {

struct Forward {
  bool tanh_form;

  __device__ float operator()(float x) const { return gelu::value<DeviceMath>(x, tanh_form); }
};

struct Backward {
  bool tanh_form;

  __device__ float operator()(float dy, float x) const {
    return dy * gelu::derivative<DeviceMath>(x, tanh_form);
  }
};

void run(const Gelu::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    map_elements(stream, a.x.size(), Forward{a.tanh_form}, a.y.as<T>(), a.x.as<T>());
  });
}

void run_backward(const GeluBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    map_elements(stream, a.x.size(), Backward{a.tanh_form}, a.dx.as<T>(), a.dy.as<T>(), a.x.as<T>());
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
