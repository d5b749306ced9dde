// A GRU layer as kernels see it. The sequences of a packed batch are sorted by decreasing length on the
// device itself, so that those which still have a row in a step are the first ones, and no length is ever
// read back to the host.
#pragma once
#include "kernels/base/view.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/standard_math.h"
#include "kernels/simt/simt.h"

namespace tenon::gru {
inline namespace TENON_SIMT_BUILD {

struct DeviceSequence {
  int begin;   // first row
  int length;  // rows
  int index;   // in the batch

  // The row of a step of this sequence, 0 <= step < length.
  __device__ int row(int step, bool reverse) const {
    return reverse ? begin + length - 1 - step : begin + step;
  }
};

// Sequences of equal length keep their order.
template <class Offset>
__global__ void rank_by_length(const Offset* cu_seqlens, int batch, DeviceSequence* sorted) {
  const int index = static_cast<int>(blockIdx.x * blockDim.x) + thread_number();
  if (index >= batch) return;
  const int begin = cu_seqlens[index], length = cu_seqlens[index + 1] - begin;
  int rank = 0;
  for (int i = 0; i < batch; ++i) {
    const int other = cu_seqlens[i + 1] - cu_seqlens[i];
    rank += other > length || (other == length && i < index);
  }
  sorted[rank] = {begin, length, index};
}

inline int64_t sequence_count(const TensorView& cu_seqlens) { return cu_seqlens.shape[0] - 1; }

inline void sort_sequences(Stream& stream, const TensorView& cu_seqlens, DeviceSequence* sorted) {
  constexpr int threads = 128;
  const int64_t batch = sequence_count(cu_seqlens);
  launch(stream, {.grid = ceil_div(batch, threads), .block = threads}, rank_by_length<int>,
         cu_seqlens.as<const int>(), static_cast<int>(batch), sorted);
}

// The gates' gradients of a row, H columns each: hn, r, z, n of direction 0, then r, z, n, hn of direction 1.
// So r, z, n of both directions lie side by side, which makes one product of dx, and r and z next to hn.
struct GradientColumns {
  int64_t r, z, n, hn;
};
__host__ __device__ constexpr GradientColumns gradient_columns(int64_t hidden, int direction) {
  if (direction == 0) return {hidden, 2 * hidden, 3 * hidden, 0};
  return {4 * hidden, 5 * hidden, 6 * hidden, 7 * hidden};
}

// What the forward and the backward read and leave. Arrays are by direction.
template <class T>
struct Layer {
  const DeviceSequence* sequences;  // sorted
  const T* weight[2];               // (3H, H), of the state
  const T* bias[2];                 // (3H), of the state, or null; the forward's
  T* y;                             // (T, D * H)
  T* gates;                         // (D, T, width): the projected input, then r, z, n, hn if they are kept
  T* h_n;                           // (D, B, H), the forward's
  int64_t rows, width;
  int batch, hidden, directions;
  bool keep;

  // Chosen, not indexed: for an index the struct would be copied to the stack.
  __device__ const T* weight_of(int direction) const { return direction == 0 ? weight[0] : weight[1]; }
  __device__ const T* bias_of(int direction) const { return direction == 0 ? bias[0] : bias[1]; }
  __device__ int64_t state(int row, int direction) const {
    return (int64_t{row} * directions + direction) * hidden;
  }
  __device__ T* gates_of(int row, int direction) const { return gates + (direction * rows + row) * width; }
  __device__ int64_t last_state(int sequence, int direction) const {
    return (int64_t{direction} * batch + sequence) * hidden;
  }
};
template <class T>
struct GradientLayer : Layer<T> {
  const T *dy, *dh_n;  // or null
  T* dgates;           // (T, D, 4H): gradient_columns

  // Of both directions.
  __device__ T* dgates_of(int row) const {
    return dgates + int64_t{row} * this->directions * 4 * this->hidden;
  }
};

// One unit's step of one sequence. hidden: what the state gives to the gates, without the bias; state: the
// old one. Returns the new one.
template <class T>
__device__ float step_forward(const Layer<T>& layer, const DeviceSequence& sequence, int direction, int step,
                              int unit, Preactivations<float> hidden, float state) {
  const int row = sequence.row(step, direction == 1), h = layer.hidden;
  T* x = layer.gates_of(row, direction) + unit;
  if (const T* bias = layer.bias_of(direction)) {
    hidden.r += to_float(bias[unit]);
    hidden.z += to_float(bias[h + unit]);
    hidden.n += to_float(bias[2 * h + unit]);
  }
  const auto g = gates<StandardMath, float>({to_float(x[0]), to_float(x[h]), to_float(x[2 * h])}, hidden);
  const float next = next_state(g, state);
  layer.y[layer.state(row, direction) + unit] = from_float<T>(next);
  if (step == sequence.length - 1)
    layer.h_n[layer.last_state(sequence.index, direction) + unit] = from_float<T>(next);
  if (layer.keep) {
    x[0] = from_float<T>(g.r);
    x[h] = from_float<T>(g.z);
    x[2 * h] = from_float<T>(g.n);
    x[3 * h] = from_float<T>(g.hn);
  }
  return next;
}

// The same backwards. dh: what the step after gives to the state's gradient, unless this is the last one.
// Returns the part of the old state's gradient that leads through z.
template <class T>
__device__ float step_backward(const GradientLayer<T>& layer, const DeviceSequence& sequence, int direction,
                               int step, int unit, float dh) {
  const int row = sequence.row(step, direction == 1), h = layer.hidden;
  if (step == sequence.length - 1)
    dh = layer.dh_n ? to_float(layer.dh_n[layer.last_state(sequence.index, direction) + unit]) : 0.0f;
  if (layer.dy) dh += to_float(layer.dy[layer.state(row, direction) + unit]);
  float previous = 0;
  if (step > 0)
    previous = to_float(layer.y[layer.state(sequence.row(step - 1, direction == 1), direction) + unit]);
  const T* kept = layer.gates_of(row, direction) + unit;
  const auto g = gradient<float>(
      {to_float(kept[0]), to_float(kept[h]), to_float(kept[2 * h]), to_float(kept[3 * h])}, previous, dh);
  const GradientColumns at = gradient_columns(h, direction);
  T* target = layer.dgates_of(row) + unit;
  target[at.r] = from_float<T>(g.r);
  target[at.z] = from_float<T>(g.z);
  target[at.n] = from_float<T>(g.n);
  target[at.hn] = from_float<T>(g.hn);
  return g.h;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon::gru
