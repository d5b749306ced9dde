// The plain CPU variant of the GRU, cell by cell: in f64 the reference, in f32 and bf16 the yardstick.
#include "kernels/gru/gru_sequence.h"

#include <algorithm>

#include "kernels/base/accumulator.h"
#include "kernels/base/registry.h"
#include "kernels/base/tf32.h"
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

// As a product reads it.
template <class T>
accumulator<T> operand(accumulator<T> value, bool tf32) {
  if constexpr (std::is_same_v<T, bf16>) return accumulator<T>(T(value));
  if constexpr (std::is_same_v<T, float>) return tf32 ? round_to_tf32(value) : value;
  return value;
}

// The elements of a row or matrix in the type that sums are made in: as they are, or as a product reads them.
template <class T>
std::vector<accumulator<T>> wide(const T* x, int64_t size) {
  std::vector<accumulator<T>> values(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) values[i] = accumulator<T>(x[i]);
  return values;
}
template <class T>
std::vector<accumulator<T>> operands(const TensorView& x, bool tf32) {
  auto values = wide(x.as<T>(), x.size());
  for (auto& value : values) value = operand<T>(value, tf32);
  return values;
}

// Row j of weight times v, plus bias.
template <class T>
accumulator<T> project(const std::vector<accumulator<T>>& weight, const TensorView& bias, int64_t j,
                       const accumulator<T>* v, int64_t columns) {
  accumulator<T> sum = bias.defined() ? accumulator<T>(bias.as<T>()[j]) : 0;
  for (int64_t i = 0; i < columns; ++i) sum += weight[j * columns + i] * v[i];
  return sum;
}

template <class T>
gru::Preactivations<accumulator<T>> project_gates(const std::vector<accumulator<T>>& weight,
                                                  const TensorView& bias, int64_t j, int64_t h,
                                                  const accumulator<T>* v, int64_t columns) {
  const auto gate = [&](int64_t row) { return project<T>(weight, bias, row, v, columns); };
  return {gate(j), gate(h + j), gate(2 * h + j)};
}

template <class T>
void forward(const GruSequence::Args& a, int d) {
  using Sum = accumulator<T>;
  const int64_t h = a.hidden_size, inputs = a.x.shape[1], width = a.directions * h, rows = a.x.shape[0];
  const int64_t batch = a.cu_seqlens.shape[0] - 1;
  const auto x = operands<T>(a.x, a.tf32);
  const auto weight_ih = operands<T>(a.weight_ih[d], a.tf32);
  const auto weight_hh = operands<T>(a.weight_hh[d], a.tf32);
  std::vector<Sum> state(h), read(h);
  T* h_n = a.h_n.as<T>() + d * batch * h;
  std::fill_n(h_n, batch * h, T(0));
  walk(a.cu_seqlens, d == 1, false, [&](int64_t row, int64_t previous, int64_t sequence) {
    if (previous < 0) std::fill(state.begin(), state.end(), Sum(0));
    for (int64_t j = 0; j < h; ++j) read[j] = operand<T>(state[j], a.tf32);
    T* y = a.y.as<T>() + row * width + d * h;
    for (int64_t j = 0; j < h; ++j) {
      auto input = project_gates<T>(weight_ih, a.bias_ih[d], j, h, x.data() + row * inputs, inputs);
      input = {Sum(T(input.r)), Sum(T(input.z)), Sum(T(input.n))};
      const auto g = gru::gates<gru::StandardMath>(
          input, project_gates<T>(weight_hh, a.bias_hh[d], j, h, read.data(), h));
      state[j] = gru::next_state(g, state[j]);
      y[j] = T(state[j]);
      if (!a.gates.defined()) continue;
      T* kept = a.gates.as<T>() + (d * rows + row) * 4 * h + j;
      kept[0] = T(g.r), kept[h] = T(g.z), kept[2 * h] = T(g.n), kept[3 * h] = T(g.hn);
    }
    std::copy_n(y, h, h_n + sequence * h);
  });
}

// target += v(3H)^T weight(3H, columns)
template <class Sum>
void add_transposed(const std::vector<Sum>& weight, const std::vector<Sum>& v, int64_t columns, Sum* target) {
  for (size_t j = 0; j < v.size(); ++j)
    for (int64_t i = 0; i < columns; ++i)
      target[i] += v[j] * weight[j * static_cast<size_t>(columns) + static_cast<size_t>(i)];
}

// dweight(3H, columns) += d(3H) v(columns)^T
template <class Sum>
void add_outer(const std::vector<Sum>& d, const Sum* v, int64_t columns, std::vector<Sum>& dweight) {
  for (size_t j = 0; j < d.size(); ++j)
    for (int64_t i = 0; i < columns; ++i)
      dweight[j * static_cast<size_t>(columns) + static_cast<size_t>(i)] += d[j] * v[i];
}

template <class Sum>
void add(const std::vector<Sum>& x, std::vector<Sum>& sum) {
  for (size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
}

template <class T>
void store(const std::vector<accumulator<T>>& values, const TensorView& view) {
  if (view.defined())
    std::transform(values.begin(), values.end(), view.as<T>(), [](accumulator<T> value) { return T(value); });
}

// A direction's gradients; dx is added to.
template <class T>
void backward(const GruSequenceBackward::Args& a, int d, std::vector<accumulator<T>>& dx) {
  using Sum = accumulator<T>;
  const int64_t h = a.hidden_size, inputs = a.x.shape[1], width = a.directions * h, rows = a.x.shape[0];
  const int64_t batch = a.cu_seqlens.shape[0] - 1;
  const auto x = operands<T>(a.x, a.tf32);
  const auto weight_ih = operands<T>(a.weight_ih[d], a.tf32);
  const auto weight_hh = operands<T>(a.weight_hh[d], a.tf32);
  std::vector<Sum> dweight_ih(3 * h * inputs), dweight_hh(3 * h * h), dbias_ih(3 * h), dbias_hh(3 * h);
  std::vector<Sum> dh(h), dinput(3 * h), dhidden(3 * h);
  int64_t current = -1;
  walk(a.cu_seqlens, d == 1, true, [&](int64_t row, int64_t previous, int64_t sequence) {
    if (sequence != current) {
      std::fill(dh.begin(), dh.end(), Sum(0));
      if (a.dh_n.defined()) dh = wide(a.dh_n.as<T>() + (d * batch + sequence) * h, h);
      current = sequence;
    }
    std::vector<Sum> state(h);
    if (previous >= 0) state = wide(a.y.as<T>() + previous * width + d * h, h);
    for (int64_t j = 0; j < h; ++j) {
      const T* kept = a.gates.as<T>() + (d * rows + row) * 4 * h + j;
      if (a.dy.defined()) dh[j] += Sum(a.dy.as<T>()[row * width + d * h + j]);
      const gru::Gates<Sum> gates{Sum(kept[0]), Sum(kept[h]), Sum(kept[2 * h]), Sum(kept[3 * h])};
      const auto g = gru::gradient<Sum>(gates, state[j], dh[j]);
      dinput[j] = dhidden[j] = Sum(T(g.r));
      dinput[h + j] = dhidden[h + j] = Sum(T(g.z));
      dinput[2 * h + j] = Sum(T(g.n));
      dhidden[2 * h + j] = Sum(T(g.hn));
      dh[j] = g.h;
    }
    add(dinput, dbias_ih);
    add(dhidden, dbias_hh);
    for (auto* values : {&dinput, &dhidden, &state})
      for (Sum& value : *values) value = operand<T>(value, a.tf32);
    add_transposed(weight_hh, dhidden, h, dh.data());
    add_outer(dinput, x.data() + row * inputs, inputs, dweight_ih);
    add_outer(dhidden, state.data(), h, dweight_hh);
    if (!dx.empty()) add_transposed(weight_ih, dinput, inputs, dx.data() + row * inputs);
  });
  store<T>(dweight_ih, a.dweight_ih[d]);
  store<T>(dweight_hh, a.dweight_hh[d]);
  store<T>(dbias_ih, a.dbias_ih[d]);
  store<T>(dbias_hh, a.dbias_hh[d]);
}

void run(const GruSequence::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    for (int d = 0; d < a.directions; ++d) forward<T>(a, d);
  });
}

void run_backward(const GruSequenceBackward::Args& a, Stream&) {
  dispatch<double, float, bf16>(a.x.dtype, [&]<class T>() {
    std::vector<accumulator<T>> dx(static_cast<size_t>(a.dx.defined() ? a.dx.size() : 0));
    for (int d = 0; d < a.directions; ++d) backward<T>(a, d, dx);
    store<T>(dx, a.dx);
  });
}

const Register<GruSequence> plain{
    {.name = "plain", .device = Device::cpu, .dtypes = {DType::f64, DType::f32, DType::bf16}, .run = run}};
const Register<GruSequenceBackward> plain_backward{{.name = "plain",
                                                    .device = Device::cpu,
                                                    .dtypes = {DType::f64, DType::f32, DType::bf16},
                                                    .run = run_backward}};

}  // namespace
}  // namespace tenon
