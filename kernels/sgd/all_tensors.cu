// Stochastic gradient descent for all tensors in one launch (kernels/adam/tensor_table.h): a block a piece of
// 2048 elements, each thread two 16-byte vectors of every stream, all under way together. Bound by memory
// bandwidth: with momentum three streams read and two written, 20 bytes an element.
#include "kernels/adam/tensor_table.h"
#include "kernels/base/registry.h"
#include "kernels/sgd/formula.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int64_t piece_size = 2048;

// Gradient, parameter and, with momentum, its buffer.
template <int streams>
__global__ void __launch_bounds__(piece_threads)
    update(sgd::Scalars<float> scalars, TensorTable<streams> table) {
  static_assert(sizeof(scalars) + sizeof(table) <= 4096);
  for_each_element<piece_size, 1, 2>(table, [&](float(&values)[streams]) {
    if constexpr (streams == 3)
      sgd::update(scalars, values[0], values[1], values[2]);
    else
      sgd::update(scalars, values[0], values[1]);
  });
}

template <int streams>
void run_on(const std::array<const std::vector<TensorView>*, streams>& lists, const Sgd::Args& a,
            Stream& stream) {
  const sgd::Scalars<float> scalars(a);
  for_each_table<streams>(lists, piece_size, [&](const TensorTable<streams>& table, int64_t) {
    launch(stream, {.grid = table.blocks, .block = piece_threads}, update<streams>, scalars, table);
  });
}

void run(const Sgd::Args& a, Stream& stream) {
  sgd::check_buffers(a);
  if (a.momentum == 0)
    run_on<2>({&a.grads, &a.params}, a, stream);
  else
    run_on<3>({&a.grads, &a.params, &a.momentum_buffers}, a, stream);
}

const Register<Sgd> registered{
    {.name = "all_tensors", .device = kernel_device, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
