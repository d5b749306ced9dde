// The strided copy, plainly: one thread, one element, found in both views from its row-major number. Bound by
// the divisions, and by memory where a view's last dimension lies apart.
#include "kernels/base/registry.h"
#include "kernels/copy/copy.h"
#include "kernels/copy/places.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class Bits>
__global__ void copy_elements(TensorView x, TensorView y, int64_t size) {
  const int64_t element = int64_t{blockIdx.x} * threads + thread_number();
  if (element >= size) return;
  const auto [source, target] = copy_places(x, y, x.rank, element);
  static_cast<Bits*>(y.data)[target] = static_cast<const Bits*>(x.data)[source];
}

void run(const Copy::Args& a, Stream& stream) {
  const int64_t size = a.x.size();
  const LaunchConfig config{.grid = ceil_div(size, threads), .block = threads};
  switch (size_of(a.x.dtype)) {
    case 1:
      return launch(stream, config, copy_elements<uint8_t>, a.x, a.y, size);
    case 2:
      return launch(stream, config, copy_elements<uint16_t>, a.x, a.y, size);
    case 4:
      return launch(stream, config, copy_elements<uint32_t>, a.x, a.y, size);
    default:
      return launch(stream, config, copy_elements<uint64_t>, a.x, a.y, size);
  }
}

const Register<Copy> registered{
    {.name = "one_element_per_thread",
     .device = kernel_device,
     .dtypes = {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8},
     .run = run}};

}  // namespace
}  // namespace tenon
