// The plain CPU variant of the GRU, cell by cell: in f64 the reference, in f32 the yardstick.
#include "kernels/gru/gru_sequence.h"

#include <algorithm>

#include "kernels/base/registry.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/standard_math.h"

namespace tenon {
namespace {

// Calls step(row, previous row, sequence) for every step of one direction in its order; the previous row of a
// first step is -1.
template <class Step>
void walk(const TensorView& cu_seqlens, bool reverse, bool backwards, const Step& step) {
  const auto* offsets = cu_seqlens.as<int32_t>();
  for (int64_t b = 0; b + 1 < cu_seqlens.shape[0]; ++b) {
    const int64_t begin = offsets[b], length = offsets[b + 1] - begin;
    for (int64_t i = 0; i < length; ++i) {
      const int64_t s = backwards ? length - 1 - i : i;
      const int64_t row = reverse ? begin + length - 1 - s : begin + s;
      step(row, s == 0 ? int64_t{-1} : (reverse ? row + 1 : row - 1), b);
    }
  }
}

// Row j of weight times v, plus bias.
template <class T>
T project(const TensorView& weight, const TensorView& bias, int64_t j, const T* v) {
  const int64_t columns = weight.shape[1];
  const T* w = weight.as<T>() + j * columns;
  T sum = bias.defined() ? bias.as<T>()[j] : T(0);
  for (int64_t i = 0; i < columns; ++i) sum += w[i] * v[i];
  return sum;
}

template <class T>
gru::Preactivations<T> project_gates(const TensorView& weight, const TensorView& bias, int64_t j, int64_t h,
                                     const T* v) {
  return {project(weight, bias, j, v), project(weight, bias, h + j, v), project(weight, bias, 2 * h + j, v)};
}

template <class T>
void forward(const GruSequence::Args& a, int d) {
  const int64_t h = a.hidden_size, inputs = a.x.shape[1], width = a.directions * h, rows = a.x.shape[0];
  const int64_t batch = a.cu_seqlens.shape[0] - 1;
  const std::vector<T> zero(h);
  T* h_n = a.h_n.as<T>() + d * batch * h;
  std::fill_n(h_n, batch * h, T(0));
  walk(a.cu_seqlens, d == 1, false, [&](int64_t row, int64_t previous, int64_t sequence) {
    const T* x = a.x.as<T>() + row * inputs;
    const T* state = previous < 0 ? zero.data() : a.y.as<T>() + previous * width + d * h;
    T* next = a.y.as<T>() + row * width + d * h;
    for (int64_t j = 0; j < h; ++j) {
      const auto g = gru::gates<gru::StandardMath>(project_gates(a.weight_ih[d], a.bias_ih[d], j, h, x),
                                                   project_gates(a.weight_hh[d], a.bias_hh[d], j, h, state));
      next[j] = gru::next_state(g, state[j]);
      if (!a.gates.defined()) continue;
      T* kept = a.gates.as<T>() + (d * rows + row) * 4 * h + j;
      kept[0] = g.r, kept[h] = g.z, kept[2 * h] = g.n, kept[3 * h] = g.hn;
    }
    std::copy_n(next, h, h_n + sequence * h);
  });
}

// target += v(3H)^T weight(3H, columns)
template <class T>
void add_transposed(const TensorView& weight, const std::vector<T>& v, T* target) {
  const int64_t columns = weight.shape[1];
  for (size_t j = 0; j < v.size(); ++j)
    for (int64_t i = 0; i < columns; ++i)
      target[i] += v[j] * weight.as<T>()[static_cast<int64_t>(j) * columns + i];
}

// dweight(3H, columns) += d(3H) v(columns)^T, dbias += d
template <class T>
void add_outer(const std::vector<T>& d, const T* v, const TensorView& dweight, const TensorView& dbias) {
  const int64_t columns = dweight.shape[1];
  for (size_t j = 0; j < d.size(); ++j) {
    T* target = dweight.as<T>() + static_cast<int64_t>(j) * columns;
    for (int64_t i = 0; i < columns; ++i) target[i] += d[j] * v[i];
    if (dbias.defined()) dbias.as<T>()[j] += d[j];
  }
}

template <class T>
void set_zero(const TensorView& view) {
  if (view.defined()) std::fill_n(view.as<T>(), view.size(), T(0));
}

template <class T>
void backward(const GruSequenceBackward::Args& a, int d) {
  const int64_t h = a.hidden_size, inputs = a.x.shape[1], width = a.directions * h, rows = a.x.shape[0];
  const int64_t batch = a.cu_seqlens.shape[0] - 1;
  for (const TensorView& view : {a.dweight_ih[d], a.dweight_hh[d], a.dbias_ih[d], a.dbias_hh[d]})
    set_zero<T>(view);
  const std::vector<T> zero(h);
  std::vector<T> dh(h), dx_gates(3 * h), dh_gates(3 * h);
  int64_t current = -1;
  walk(a.cu_seqlens, d == 1, true, [&](int64_t row, int64_t previous, int64_t sequence) {
    if (sequence != current) {
      std::fill(dh.begin(), dh.end(), T(0));
      if (a.dh_n.defined()) std::copy_n(a.dh_n.as<T>() + (d * batch + sequence) * h, h, dh.data());
      current = sequence;
    }
    const T* state = previous < 0 ? zero.data() : a.y.as<T>() + previous * width + d * h;
    for (int64_t j = 0; j < h; ++j) {
      const T* kept = a.gates.as<T>() + (d * rows + row) * 4 * h + j;
      if (a.dy.defined()) dh[j] += a.dy.as<T>()[row * width + d * h + j];
      const auto g = gru::gradient<T>({kept[0], kept[h], kept[2 * h], kept[3 * h]}, state[j], dh[j]);
      dx_gates[j] = dh_gates[j] = g.r;
      dx_gates[h + j] = dh_gates[h + j] = g.z;
      dx_gates[2 * h + j] = g.n;
      dh_gates[2 * h + j] = g.hn;
      dh[j] = g.h;
    }
    add_transposed(a.weight_hh[d], dh_gates, dh.data());
    add_outer(dx_gates, a.x.as<T>() + row * inputs, a.dweight_ih[d], a.dbias_ih[d]);
    add_outer(dh_gates, state, a.dweight_hh[d], a.dbias_hh[d]);
    if (a.dx.defined()) add_transposed(a.weight_ih[d], dx_gates, a.dx.as<T>() + row * inputs);
  });
}

void run(const GruSequence::Args& a, Stream&) {
  dispatch<double, float>(a.x.dtype, [&]<class T>() {
    for (int d = 0; d < a.directions; ++d) forward<T>(a, d);
  });
}

void run_backward(const GruSequenceBackward::Args& a, Stream&) {
  dispatch<double, float>(a.x.dtype, [&]<class T>() {
    set_zero<T>(a.dx);
    for (int d = 0; d < a.directions; ++d) backward<T>(a, d);
  });
}

const Register<GruSequence> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run}};
const Register<GruSequenceBackward> plain_backward{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32}, .run = run_backward}};

}  // namespace
}  // namespace tenon
