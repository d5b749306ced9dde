// The copy of rows that are whole in both views, a warp a row, in the widest pieces of 1 to 16 bytes that fit
// the rows, the strides and the addresses. A warp finds its row by divisions once. Bound by memory bandwidth
// for rows of a few hundred bytes and more.
#include "kernels/base/registry.h"
#include "kernels/copy/copy.h"
#include "kernels/copy/places.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class Piece>
__global__ void __launch_bounds__(warps* warp_size)
    copy_rows(TensorView x, TensorView y, int64_t rows, int64_t columns) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number();
  if (row >= rows) return;
  const auto [source, target] = copy_places(x, y, x.rank - 1, row);
  const auto width = static_cast<int64_t>(size_of(x.dtype));
  const auto* from = reinterpret_cast<const Piece*>(static_cast<const char*>(x.data) + source * width);
  auto* to = reinterpret_cast<Piece*>(static_cast<char*>(y.data) + target * width);
  const int64_t pieces = columns * width / static_cast<int64_t>(sizeof(Piece));
  for (int64_t i = lane_number(); i < pieces; i += warp_size) to[i] = from[i];
}

// Everything that a piece must divide, in one number of which only the lowest bit counts.
uint64_t places(const Copy::Args& a) {
  uint64_t all = reinterpret_cast<uintptr_t>(a.x.data) | reinterpret_cast<uintptr_t>(a.y.data) | 16;
  const auto add = [&](int64_t elements) { all |= static_cast<uint64_t>(elements) * size_of(a.x.dtype); };
  const int last = a.x.rank - 1;
  add(a.x.shape[last]);
  for (int i = 0; i < last; ++i) add(a.x.stride[i]), add(a.y.stride[i]);
  return all;
}

std::string supports(const Copy::Args& a) {
  const int last = a.x.rank - 1;
  return a.x.stride[last] == 1 && a.y.stride[last] == 1 ? ""
                                                        : "the elements of a row do not lie side by side";
}

void run(const Copy::Args& a, Stream& stream) {
  const int64_t columns = a.x.shape[a.x.rank - 1], rows = columns ? a.x.size() / columns : 0;
  const LaunchConfig config{.grid = ceil_div(rows, warps), .block = warps * warp_size};
  const uint64_t all = places(a);
  switch (all & -all) {
    case 1:
      return launch(stream, config, copy_rows<uint8_t>, a.x, a.y, rows, columns);
    case 2:
      return launch(stream, config, copy_rows<uint16_t>, a.x, a.y, rows, columns);
    case 4:
      return launch(stream, config, copy_rows<uint32_t>, a.x, a.y, rows, columns);
    case 8:
      return launch(stream, config, copy_rows<uint64_t>, a.x, a.y, rows, columns);
    default:
      return launch(stream, config, copy_rows<Vector<uint64_t, 2>>, a.x, a.y, rows, columns);
  }
}

const Register<Copy> registered{
    {.name = "warp_per_row",
     .device = kernel_device,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8},
     .supports = supports,
     .run = run}};

}  // namespace
}  // namespace tenon
