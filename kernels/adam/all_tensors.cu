// Adam for all tensors in one launch (kernels/adam/tensor_table.h): a block a piece of 2048 elements, each
// thread two 16-byte vectors of the four streams, all under way together. Bound by memory bandwidth: four
// streams read, three written, 28 bytes an element.
#include "kernels/adam/formula.h"
#include "kernels/adam/tensor_table.h"
#include "kernels/base/registry.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t piece_size = 2048;

using Table = TensorTable<4>;  // gradient, parameter, exp_avg, exp_avg_sq

__global__ void __launch_bounds__(piece_threads) update(adam::Scalars<float> scalars, Table table) {
  static_assert(sizeof(scalars) + sizeof(table) <= 4096);
  for_each_element<piece_size, 1, 2>(
      table, [&](float(&values)[4]) { adam::update(scalars, values[0], values[1], values[2], values[3]); });
}

void run(const Adam::Args& a, Stream& stream) {
  const adam::Scalars<float> scalars(a);
  for_each_table<4>({&a.grads, &a.params, &a.exp_avg, &a.exp_avg_sq}, piece_size,
                    [&](const Table& table, int64_t) {
                      launch(stream, {.grid = table.blocks, .block = piece_threads}, update, scalars, table);
                    });
}

const Register<Adam> registered{
    {.name = "all_tensors", .device = kernel_device, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
