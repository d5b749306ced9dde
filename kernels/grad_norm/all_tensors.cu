// The norm of all gradients in two launches: one leaves the fp64 sums of squares of pieces of 8192 elements
// of all tensors (kernels/adam/tensor_table.h), one adds them in their order. Bound by memory bandwidth, 4
// bytes an element; on GPUs whose fp64 is a 64th of fp32 by that.
#include "kernels/adam/tensor_table.h"
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/grad_norm/grad_norm.h"
#include "kernels/grad_norm/sum_of_squares.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t piece_size = 8192;

using Table = TensorTable<1>;

__global__ void __launch_bounds__(piece_threads) sum_pieces(Table table, double* sums) {
  static_assert(piece_threads == norm_threads && sizeof(table) + sizeof(sums) <= 4096);
  double sum = 0;
  for_each_element<piece_size, 1, 4>(table,
                                     [&](float(&value)[1]) { sum += double{value[0]} * double{value[0]}; });
  sum = block_sum(sum, shared<NormSmem>().partial);
  if (thread_number() == 0) sums[blockIdx.x] = sum;
}

size_t workspace(const GradNorm::Args& a) {
  int64_t pieces = 0;
  for (const TensorView& grad : a.grads) pieces += ceil_div(grad.size(), piece_size);
  return static_cast<size_t>(pieces) * sizeof(double);
}

void run(const GradNorm::Args& a, Stream& stream) {
  const Buffer sums(kernel_device, workspace(a));
  const int64_t count = for_each_table<1>({&a.grads}, piece_size, [&](const Table& table, int64_t before) {
    launch(stream, {.grid = table.blocks, .block = piece_threads, .shared_bytes = sizeof(NormSmem)},
           sum_pieces, table, sums.as<double>() + before);
  });
  launch_root(stream, sums.as<double>(), count, a.norm.as<float>());
}

const Register<GradNorm> registered{{.name = "all_tensors",
                                     .device = kernel_device,
                                     .priority = 10,
                                     .dtypes = {DType::f32},
                                     .workspace = workspace,
                                     .run = run}};

}  // namespace
}  // namespace tenon
