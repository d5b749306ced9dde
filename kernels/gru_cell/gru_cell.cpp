// Cases, costs and the plain CPU variant of the GRU cell: in f64 the reference, in f32 the yardstick.
#include "kernels/gru_cell/gru_cell.h"

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/standard_math.h"

namespace tenon {
namespace {

template <class T>
gru::Preactivations<accumulator<T>> at(const TensorView& gates, int64_t row, int64_t h, int64_t j) {
  using Sum = accumulator<T>;
  const T* g = gates.as<T>() + row * 3 * h + j;
  return {Sum(g[0]), Sum(g[h]), Sum(g[2 * h])};
}

template <class T, class Body>
void for_each_unit(const TensorView& h, const Body& body) {
  for (int64_t row = 0; row < h.shape[0]; ++row)
    for (int64_t j = 0; j < h.shape[1]; ++j) body(row, j, accumulator<T>(h.as<T>()[row * h.shape[1] + j]));
}

void run(const GruCell::Args& a, Stream&) {
  const int64_t h = a.h.shape[1];
  dispatch<double, float, bf16>(a.h.dtype, [&]<class T>() {
    for_each_unit<T>(a.h, [&](int64_t row, int64_t j, accumulator<T> state) {
      const auto g = gru::gates<gru::StandardMath>(at<T>(a.x_gates, row, h, j), at<T>(a.h_gates, row, h, j));
      a.h_next.as<T>()[row * h + j] = T(gru::next_state(g, state));
    });
  });
}

void run_backward(const GruCellBackward::Args& a, Stream&) {
  const int64_t h = a.h.shape[1];
  dispatch<double, float, bf16>(a.h.dtype, [&]<class T>() {
    for_each_unit<T>(a.h, [&](int64_t row, int64_t j, accumulator<T> state) {
      const auto g = gru::gates<gru::StandardMath>(at<T>(a.x_gates, row, h, j), at<T>(a.h_gates, row, h, j));
      const auto d = gru::gradient(g, state, accumulator<T>(a.dh_next.as<T>()[row * h + j]));
      T* dx = a.dx_gates.as<T>() + row * 3 * h + j;
      T* dh = a.dh_gates.as<T>() + row * 3 * h + j;
      dx[0] = dh[0] = T(d.r);
      dx[h] = dh[h] = T(d.z);
      dx[2 * h] = T(d.n);
      dh[2 * h] = T(d.hn);
      a.dh.as<T>()[row * h + j] = T(d.h);
    });
  });
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<GruCell> plain{{.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run}};
const Register<GruCellBackward> plain_backward{
    {.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run_backward}};

struct Shape {
  int64_t batch, hidden;
  bool large = false;
};
constexpr Shape shapes[] = {{1, 1}, {0, 8}, {5, 1}, {3, 5}, {1, 33}, {7, 33}, {19, 256}, {4096, 256, true}};

template <class Args, class Make>
std::vector<Case<Args>> make_cases(const Make& make) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes)
    cases.push_back({str(s.batch, "x", s.hidden), make(s.batch, s.hidden), s.large, nullptr});
  // Preactivations beyond where exp overflows, of either sign.
  cases.push_back({"saturated gates", make(4, 40), false, [](Args& a) { cases::affine(a.x_gates, 1e4, 0); }});
  return cases;
}

}  // namespace

std::vector<Case<GruCell::Args>> GruCell::cases(DType dtype) {
  return make_cases<Args>([=](int64_t batch, int64_t hidden) -> Args {
    const TensorView gates(nullptr, dtype, {batch, 3 * hidden}), state(nullptr, dtype, {batch, hidden});
    return {gates, gates, state, state};
  });
}

std::vector<Case<GruCellBackward::Args>> GruCellBackward::cases(DType dtype) {
  return make_cases<Args>([=](int64_t batch, int64_t hidden) -> Args {
    const TensorView gates(nullptr, dtype, {batch, 3 * hidden}), state(nullptr, dtype, {batch, hidden});
    return {state, gates, gates, state, gates, gates, state};
  });
}

const RegisterShapes<GruCell> shapes_of_gru_cell{
    "BATCHxHIDDEN", [](DType dtype, const Extents& e) -> Case<GruCell::Args> {
      const TensorView gates(nullptr, dtype, {e[0], 3 * e[1]}), state(nullptr, dtype, {e[0], e[1]});
      return {"", {gates, gates, state, state}};
    }};

const RegisterShapes<GruCellBackward> shapes_of_gru_cell_backward{
    "BATCHxHIDDEN", [](DType dtype, const Extents& e) -> Case<GruCellBackward::Args> {
      const TensorView gates(nullptr, dtype, {e[0], 3 * e[1]}), state(nullptr, dtype, {e[0], e[1]});
      return {"", {state, gates, gates, state, gates, gates, state}};
    }};

Cost GruCell::cost(const Args& a) {
  return {40 * static_cast<double>(a.h.size()), static_cast<double>(2 * a.x_gates.bytes() + 2 * a.h.bytes())};
}

Cost GruCellBackward::cost(const Args& a) {
  return {55 * static_cast<double>(a.h.size()), static_cast<double>(4 * a.x_gates.bytes() + 3 * a.h.bytes())};
}

}  // namespace tenon
