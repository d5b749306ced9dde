// Picking rows, a warp a row, 16 bytes a lane. Its gradient sorts the indices:
// kernels/gather_rows/sorted_sums.h. Bound by memory bandwidth.
#include "kernels/base/registry.h"
#include "kernels/gather_rows/gather_rows.h"
#include "kernels/gather_rows/sorted_sums.h"
#include "kernels/layer_norm/row_vectors.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
__global__ void __launch_bounds__(warps* warp_size)
    pick(const T* x, int64_t rows, const int32_t* index, T* y, int64_t picked, int64_t columns, bool aligned,
         IndexFault* fault) {
  constexpr int width = 16 / sizeof(T);
  const int64_t m = int64_t{blockIdx.x} * warps + warp_number();
  if (m >= picked) return;
  x += checked_index(fault, IndexKind::row, index[m], m, rows) * columns, y += m * columns;
  for_each_vector<width, 0, warp_size>(columns, lane_number(), [&](int, int64_t column) {
    write_elements(y, column, columns, aligned, read_elements<width>(x, column, columns, aligned));
  });
}

void run(const GatherRows::Args& a, Stream& stream) {
  const int64_t columns = a.x.shape[1], picked = a.index.shape[0];
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const bool aligned = columns * sizeof(T) % 16 == 0 && are_aligned({a.x.data, a.y.data});
    launch(stream, {.grid = ceil_div(picked, warps), .block = warps * warp_size}, pick<T>, a.x.as<T>(),
           a.x.shape[0], a.index.as<int32_t>(), a.y.as<T>(), picked, columns, aligned,
           index_fault(kernel_device));
  });
}

size_t workspace(const GatherRowsBackward::Args& a) { return sort_workspace(a.dy.shape[0], a.index, a.dx); }

void run_backward(const GatherRowsBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    sum_by_sorting<T>(stream, a.dy.as<T>(), a.dy.shape[0], a.index, IndexKind::row, a.dx);
  });
}

const Register<GatherRows> registered{{.name = "vectors",
                                       .device = kernel_device,
                                       .priority = 10,
                                       .dtypes = {DType::f32, DType::bf16},
                                       .run = run}};
const Register<GatherRowsBackward> registered_backward{{.name = "sorted",
                                                        .device = kernel_device,
                                                        .priority = 10,
                                                        .dtypes = {DType::f32, DType::bf16},
                                                        .workspace = workspace,
                                                        .run = run_backward}};

}  // namespace
}  // namespace tenon
