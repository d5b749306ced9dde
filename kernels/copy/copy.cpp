// Cases and the plain CPU variant: runs of the last dimension where both sides have stride 1, else element by
// element. Bandwidth bound, and never on the path of a large tensor more than once.
#include "kernels/copy/copy.h"

#include <cstring>

#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/parallel.h"

namespace tenon {
namespace {

constexpr int64_t bytes_per_task = 64 * 1024;

int64_t offset_of_row(const TensorView& view, int64_t row) {
  int64_t offset = 0;
  for (int i = view.rank - 2; i >= 0; row /= view.shape[i--]) offset += row % view.shape[i] * view.stride[i];
  return offset;
}

void run(const Copy::Args& a, Stream&) {
  if (a.x.size() == 0) return;
  const int last = a.x.rank - 1;
  const int64_t columns = a.x.shape[last], rows = a.x.size() / columns;
  const int64_t x_step = a.x.stride[last], y_step = a.y.stride[last];
  const auto width = static_cast<int64_t>(size_of(a.x.dtype));
  const int64_t grain = std::max<int64_t>(1, bytes_per_task / (columns * width));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const char* x = a.x.as<char>() + offset_of_row(a.x, row) * width;
      char* y = a.y.as<char>() + offset_of_row(a.y, row) * width;
      if (x_step == 1 && y_step == 1) {
        std::memcpy(y, x, static_cast<size_t>(columns * width));
        continue;
      }
      for (int64_t i = 0; i < columns; ++i)
        std::memcpy(y + i * y_step * width, x + i * x_step * width, static_cast<size_t>(width));
    }
  });
}

TensorView strided(DType dtype, std::initializer_list<int64_t> shape,
                   std::initializer_list<int64_t> strides) {
  TensorView view(nullptr, dtype, shape);
  int i = 0;
  for (int64_t stride : strides) view.stride[i++] = stride;
  return view;
}

const Register<Copy> plain{
    {.name = "plain",
     .device = Device::cpu,
     .dtypes = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8},
     .run = run}};

}  // namespace

std::vector<Case<Copy::Args>> Copy::cases(DType dtype) {
  const TensorView matrix(nullptr, dtype, {33, 17}), cube(nullptr, dtype, {2, 5, 9});
  std::vector<Case<Args>> cases;
  const auto add = [&](std::string name, const TensorView& x, const TensorView& y) {
    cases.push_back({std::move(name), {x, y}, false, nullptr});
  };
  const TensorView one(nullptr, dtype, {1}), empty(nullptr, dtype, {0, 7});
  add("1", one, one);
  add("empty", empty, empty);
  add("contiguous", matrix, matrix);
  add("transpose", strided(dtype, {33, 17}, {1, 33}), matrix);
  add("slice of columns", matrix, strided(dtype, {33, 17}, {40, 1}));
  add("swapped dimensions", strided(dtype, {2, 5, 9}, {9, 18, 1}), cube);
  return cases;
}

const RegisterShapes<Copy> shapes_of_copy{"ROWSxCOLUMNS",
                                          [](DType dtype, const Extents& e) -> Case<Copy::Args> {
                                            const TensorView x(nullptr, dtype, {e[0], e[1]});
                                            return {"", {x, x}};
                                          }};

}  // namespace tenon
