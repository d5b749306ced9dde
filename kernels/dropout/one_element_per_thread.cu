// Dropout, plainly: one thread, one element, a Philox block of its own, of which it uses one number of four.
// Bound by making those.
#include "kernels/base/registry.h"
#include "kernels/dropout/device_mask.h"
#include "kernels/dropout/dropout.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void dropout(const T* x, const int64_t* row_keys, DropoutMask mask, T* y, int64_t size,
                        int64_t columns) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  const int64_t row = i / columns, element = row_keys[row] + (i - row * columns);
  const float factor = mask.factor(static_cast<uint64_t>(element));
  y[i] = from_float<T>(factor > 0 ? to_float(x[i]) * factor : 0.0f);
}

void run(const DropoutOp::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, dropout<T>, a.x.as<T>(),
           a.row_keys.as<int64_t>(), DropoutMask(a.dropout), a.y.as<T>(), size, a.x.shape[1]);
  });
}

const Register<DropoutOp> registered{{.name = "one_element_per_thread",
                                      .device = kernel_device,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .run = run}};

}  // namespace
}  // namespace tenon
