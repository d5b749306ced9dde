// The norm of all gradients on the CPU: pieces in parallel, each summed in sixteen lanes of fp64, then the
// sums of the pieces in their order. The same bits for any number of threads.
#include <cmath>

#include "kernels/base/registry.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/pieces.h"
#include "kernels/grad_norm/grad_norm.h"

namespace tenon {
namespace {

double sum_of_squares(const float* x, int64_t size) {
  double lanes[cpu::lane_count] = {};
  int64_t i = 0;
  for (; i + cpu::lane_count <= size; i += cpu::lane_count)
    for (int64_t lane = 0; lane < cpu::lane_count; ++lane)
      lanes[lane] += double{x[i + lane]} * double{x[i + lane]};
  for (; i < size; ++i) lanes[0] += double{x[i]} * double{x[i]};
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

void run(const GradNorm::Args& a, Stream&) {
  const std::vector<cpu::Piece> pieces = cpu::pieces(a.grads);
  std::vector<double> sums(pieces.size());
  parallel(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const auto [tensor, begin, end] = pieces[static_cast<size_t>(i)];
    sums[static_cast<size_t>(i)] = sum_of_squares(a.grads[tensor].as<float>() + begin, end - begin);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  *a.norm.as<float>() = static_cast<float>(std::sqrt(total));
}

const Register<GradNorm> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = run}};

}  // namespace
}  // namespace tenon
