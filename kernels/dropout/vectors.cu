// Dropout, a warp a row, 16 bytes a lane: of four neighbouring elements one Philox block is drawn. Rows that
// do not start at multiples of 16 bytes are read element by element, in the same groups. Bound by memory
// bandwidth in fp32; in bf16 by the random numbers, ten rounds of two multiplications for four elements.
#include "kernels/base/registry.h"
#include "kernels/dropout/device_mask.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/map.h"
#include "kernels/layer_norm/row_vectors.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
__global__ void __launch_bounds__(warps* warp_size)
    dropout(const T* x, const int64_t* row_keys, DropoutMask mask, T* y, int64_t rows, int64_t columns,
            bool aligned) {
  constexpr int width = 16 / sizeof(T);
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows) return;
  x += row * columns, y += row * columns;
  const auto key = static_cast<uint64_t>(row_keys[row]);
  for_each_vector<width, 0, warp_size>(columns, lane_number(), [&](int, int64_t column) {
    auto values = read_elements<width>(x, column, columns, aligned);
    float factors[width];
    mask.factors(key + static_cast<uint64_t>(column), factors);
    for (int i = 0; i < width; ++i)
      values[i] = from_float<T>(factors[i] > 0 ? to_float(values[i]) * factors[i] : 0.0f);
    write_elements(y, column, columns, aligned, values);
  });
}

void run(const DropoutOp::Args& a, Stream& stream) {
  const int64_t rows = a.x.shape[0], columns = a.x.shape[1];
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const bool aligned = columns * sizeof(T) % 16 == 0 && are_aligned({a.x.data, a.y.data});
    launch(stream, {.grid = ceil_div(rows, warps), .block = warps * warp_size}, dropout<T>, a.x.as<T>(),
           a.row_keys.as<int64_t>(), DropoutMask(a.dropout), a.y.as<T>(), rows, columns, aligned);
  });
}

const Register<DropoutOp> registered{{.name = "vectors",
                                      .device = kernel_device,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .run = run}};

}  // namespace
}  // namespace tenon
