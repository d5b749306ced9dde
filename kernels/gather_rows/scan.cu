// Picking rows, plainly: one thread, one element. Its gradient: kernels/gather_rows/scanned_sums.h. The first
// is bound by memory bandwidth, the second by reading all indices once for each row of the table.
#include "kernels/base/registry.h"
#include "kernels/gather_rows/gather_rows.h"
#include "kernels/gather_rows/scanned_sums.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void pick(const T* x, int64_t rows, const int32_t* index, T* y, int64_t size, int64_t columns,
                     IndexFault* fault) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  const int64_t m = i / columns;
  y[i] = x[checked_index(fault, IndexKind::row, index[m], m, rows) * columns + (i - m * columns)];
}

void run(const GatherRows::Args& a, Stream& stream) {
  const int64_t size = a.y.size();
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, pick<T>, a.x.as<T>(), a.x.shape[0],
           a.index.as<int32_t>(), a.y.as<T>(), size, a.x.shape[1], index_fault(kernel_device));
  });
}

void run_backward(const GatherRowsBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    sum_by_scanning<T>(stream, a.dy.as<T>(), a.dy.shape[0], a.index, IndexKind::row, a.dx);
  });
}

const Register<GatherRows> registered{{.name = "one_element_per_thread",
                                       .device = kernel_device,
                                       .dtypes = {DType::f32, DType::bf16},
                                       .run = run}};
const Register<GatherRowsBackward> registered_backward{
    {.name = "scan", .device = kernel_device, .dtypes = {DType::f32, DType::bf16}, .run = run_backward}};

}  // namespace
}  // namespace tenon
