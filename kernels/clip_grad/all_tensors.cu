// The scaling of all gradients in one launch (kernels/adam/tensor_table.h), a block a piece of 4096 elements.
// The norm is read on the device, so that the host waits for nothing; where the factor is 1, the gradients
// are not touched. Bound by memory bandwidth, 8 bytes an element.
#include "kernels/adam/tensor_table.h"
#include "kernels/base/registry.h"
#include "kernels/clip_grad/clip_grad.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t piece_size = 4096;

using Table = TensorTable<1>;

__global__ void __launch_bounds__(piece_threads) scale(Table table, const float* norm, double max_norm) {
  static_assert(sizeof(table) + sizeof(norm) + sizeof(max_norm) <= 4096);
  const float factor = clip_grad::factor(*norm, max_norm);
  if (factor == 1) return;
  for_each_element<piece_size, 0, 4>(table, [&](float(&value)[1]) { value[0] *= factor; });
}

void run(const ScaleTensors::Args& a, Stream& stream) {
  for_each_table<1>({&a.grads}, piece_size, [&](const Table& table, int64_t) {
    launch(stream, {.grid = table.blocks, .block = piece_threads}, scale, table, a.norm.as<float>(),
           a.max_norm);
  });
}

const Register<ScaleTensors> registered{
    {.name = "all_tensors", .device = kernel_device, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
