// Cases, costs and the plain CPU variant of picking rows: in f64 the reference, in f32 the yardstick.
#include "kernels/gather_rows/gather_rows.h"

#include <algorithm>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/index_fault.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

template <class T>
void forward(const GatherRows::Args& a) {
  const int64_t columns = a.x.shape[1];
  for (int64_t m = 0; m < a.index.shape[0]; ++m)
    std::copy_n(a.x.as<T>() + a.index.as<int32_t>()[m] * columns, columns, a.y.as<T>() + m * columns);
}

template <class T>
void backward(const GatherRowsBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.dx.shape[1];
  std::vector<Sum> sums(a.dx.size());
  for (int64_t m = 0; m < a.index.shape[0]; ++m)
    for (int64_t i = 0; i < columns; ++i)
      sums[a.index.as<int32_t>()[m] * columns + i] += Sum(a.dy.as<T>()[m * columns + i]);
  for (int64_t i = 0; i < a.dx.size(); ++i) a.dx.as<T>()[i] = T(sums[i]);
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<GatherRows> plain{{.name = "plain",
                                  .device = Device::cpu,
                                  .dtypes = plain_types,
                                  .run = [](const GatherRows::Args& a, Stream&) {
                                    check_gather_index(a.index, a.x.shape[0]);
                                    dispatch<double, float, bf16>(a.x.dtype,
                                                                  [&]<class T>() { forward<T>(a); });
                                  }}};
const Register<GatherRowsBackward> plain_backward{{.name = "plain",
                                                   .device = Device::cpu,
                                                   .dtypes = plain_types,
                                                   .run = [](const GatherRowsBackward::Args& a, Stream&) {
                                                     check_gather_index(a.index, a.dx.shape[0]);
                                                     dispatch<double, float, bf16>(
                                                         a.dy.dtype, [&]<class T>() { backward<T>(a); });
                                                   }}};

struct Shape {
  int64_t rows, columns, picked;
  bool large = false;
};
constexpr Shape shapes[] = {{1, 1, 1},      {5, 8, 0},      {3, 33, 100},           {100, 1, 7},
                            {64, 1023, 33}, {300, 768, 16}, {4096, 768, 4096, true}};

std::string title(const Shape& s) { return str(s.picked, " of ", s.rows, "x", s.columns); }

Case<GatherRows::Args> make_case(DType dtype, const Shape& s) {
  return {title(s),
          {{nullptr, dtype, {s.rows, s.columns}},
           {nullptr, DType::i32, {s.picked}},
           {nullptr, dtype, {s.picked, s.columns}}},
          s.large,
          [s](GatherRows::Args& a) { cases::put_indices(a.index, s.rows); }};
}

Case<GatherRowsBackward::Args> make_backward_case(DType dtype, const Shape& s) {
  return {title(s),
          {{nullptr, dtype, {s.picked, s.columns}},
           {nullptr, DType::i32, {s.picked}},
           {nullptr, dtype, {s.rows, s.columns}}},
          s.large,
          [s](GatherRowsBackward::Args& a) { cases::put_indices(a.index, s.rows); }};
}

}  // namespace

void check_gather_index(const TensorView& index, int64_t rows) {
  for (int64_t m = 0; m < index.size(); ++m) {
    const int32_t value = index.as<int32_t>()[m];
    if (value < 0 || value >= rows) fail(describe({1, IndexKind::row, value, m, rows}));
  }
}

std::vector<Case<GatherRows::Args>> GatherRows::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_case(dtype, s));
  return cases;
}

const RegisterShapes<GatherRows> shapes_of_gather_rows{
    "ROWSxCOLUMNSxPICKED", [](DType dtype, const Extents& e) -> Case<GatherRows::Args> {
      return make_case(dtype, {e[0], e[1], e[2]});
    }};

std::vector<Case<GatherRowsBackward::Args>> GatherRowsBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_backward_case(dtype, s));
  return cases;
}

const RegisterShapes<GatherRowsBackward> shapes_of_gather_rows_backward{
    "ROWSxCOLUMNSxPICKED", [](DType dtype, const Extents& e) -> Case<GatherRowsBackward::Args> {
      return make_backward_case(dtype, {e[0], e[1], e[2]});
    }};

Cost GatherRows::cost(const Args& a) { return {0, static_cast<double>(2 * a.y.bytes() + a.index.bytes())}; }

Cost GatherRowsBackward::cost(const Args& a) {
  return {static_cast<double>(a.dy.size()),
          static_cast<double>(a.dy.bytes() + a.dx.bytes() + a.index.bytes())};
}

}  // namespace tenon
