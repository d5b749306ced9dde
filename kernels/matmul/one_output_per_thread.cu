// The matrix product, plainly: a thread sums up one element of y over K, in ascending order and in fp32, and
// applies the epilogue to it; neighbouring threads take neighbouring columns. Any layout, stride and
// alignment. Each factor is read from the caches once for every element of y: bound by the load units.
#include "kernels/base/registry.h"
#include "kernels/matmul/device.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void __launch_bounds__(threads) multiply(MatmulFactors<T> factors, MatmulOutput<T> out) {
  const int64_t element = int64_t{blockIdx.x} * threads + thread_number();
  if (element >= out.rows * out.columns) return;
  const int64_t row = element / out.columns, column = element % out.columns;
  const T *a = factors.a + row * factors.a_row, *b = factors.b + column * factors.b_column;
  float sum[1] = {0};
  for (int64_t k = 0; k < factors.k; ++k, a += factors.a_k, b += factors.b_k)
    sum[0] += to_float(*a) * to_float(*b);
  finish(out, row, column, sum);
}

void run(const Matmul::Args& args, Stream& stream) {
  dispatch<float, bf16>(args.y.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(args.y.size(), threads), .block = threads}, multiply<T>,
           MatmulFactors<T>(args), MatmulOutput<T>(args));
  });
}

const Register<Matmul> registered{{.name = "one_output_per_thread",
                                   .device = kernel_device,
                                   .dtypes = {DType::f32, DType::bf16},
                                   .run = run}};

}  // namespace
}  // namespace tenon
