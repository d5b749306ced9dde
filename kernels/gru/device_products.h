// What of a GRU is no recurrence, for every variant on the GPU: memory, and the products over all rows before
// the forward's and after the backward's steps.
#pragma once
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/copy/copy.h"
#include "kernels/gru/device_layer.h"
#include "kernels/gru/gru_sequence.h"
#include "kernels/matmul/matmul.h"
#include "kernels/sum/sum.h"

namespace tenon::gru {
inline namespace TENON_SIMT_BUILD {

template <class Args>
std::string knows_max_seqlen(const Args& a) {
  return a.max_seqlen > 0 || a.x.shape[0] == 0 ? ""
                                               : "it needs max_seqlen, so as not to read cu_seqlens back";
}

// A view of some columns of a row-major matrix.
inline TensorView columns_of(const TensorView& matrix, int64_t first, int64_t count, int64_t first_row = 0) {
  TensorView view = matrix;
  view.data = matrix.as<char>() +
              (first_row * matrix.stride[0] + first) * static_cast<int64_t>(size_of(matrix.dtype));
  view.shape[0] = std::max<int64_t>(matrix.shape[0] - first_row, 0);
  view.shape[1] = count;
  return view;
}

// W_i x + b_i of all rows, one product for each direction: columns r, z, n of a row. It stands where the
// gates will, if they are kept, and a step puts its gates in its place.
class ProjectedInput {
 public:
  explicit ProjectedInput(const GruSequence::Args& a)
      : width_((a.gates.defined() ? 4 : 3) * int64_t{a.hidden_size}),
        rows_(a.x.shape[0]),
        dtype_(a.x.dtype),
        scratch_(kernel_device, bytes(a)),
        data_(a.gates.defined() ? a.gates.as<char>() : scratch_.as<char>()) {}

  static size_t bytes(const GruSequence::Args& a) { return a.gates.defined() ? 0 : 3 * a.y.bytes(); }

  int64_t width() const { return width_; }  // from a row to the next
  void* data(int direction) const {
    return data_ + direction * rows_ * width_ * static_cast<int64_t>(size_of(dtype_));
  }

  void compute(const GruSequence::Args& a, Stream& stream) const {
    for (int d = 0; d < a.directions; ++d) {
      Matmul::Args product;
      product.a = a.x, product.b = a.weight_ih[d];
      product.y = {data(d), dtype_, {rows_, 3 * int64_t{a.hidden_size}}};
      product.y.stride[0] = width_;
      product.transpose_b = true;
      product.bias = a.bias_ih[d];
      product.epilogue = product.bias.defined() ? Epilogue::bias : Epilogue::none;
      product.tf32 = a.tf32;
      tenon::run<Matmul>(product, stream);
    }
  }

 private:
  int64_t width_, rows_;
  DType dtype_;
  Buffer scratch_;
  char* data_;
};

// A first step has no state before it: its gradient counts for W_ih, but not for W_hh.
template <class T>
__global__ void clear_first_steps(const int* cu_seqlens, T* gradients, int hidden, int directions) {
  const int begin = cu_seqlens[blockIdx.x], end = cu_seqlens[blockIdx.x + 1];
  if (begin == end) return;
  const int direction = static_cast<int>(blockIdx.y);
  T* row = gradients + (int64_t{direction == 0 ? begin : end - 1} * directions + direction) * 4 * hidden;
  for (int i = thread_number(); i < 4 * hidden; i += static_cast<int>(blockDim.x)) row[i] = from_float<T>(0);
}

class GateGradients {
 public:
  explicit GateGradients(const GruSequenceBackward::Args& a)
      : scratch_(kernel_device, a.gates.bytes()),
        view_(scratch_.data(), a.x.dtype, {a.x.shape[0], a.directions * 4 * int64_t{a.hidden_size}}) {}

  static size_t bytes(const GruSequenceBackward::Args& a) {
    const bool copies = a.dx.defined() && a.directions == 2;
    return a.gates.bytes() + (copies ? 2 * a.weight_ih[0].bytes() : 0);
  }

  template <class T>
  T* data() const {
    return view_.as<T>();
  }

  // All gradients that the contract wants, once those of the gates are there. What is left of them is wrong.
  void finish(const GruSequenceBackward::Args& a, Stream& stream) const {
    for (int d = 0; d < a.directions; ++d) {
      const GradientColumns at = gradient_columns(a.hidden_size, d);
      const int64_t h = a.hidden_size;
      multiply(a, columns_of(view_, at.r, 3 * h), true, a.x, a.dweight_ih[d], stream);
      if (!a.dbias_ih[d].defined()) continue;
      sum(columns_of(view_, at.r, 3 * h), a.dbias_ih[d], 0, stream);
      sum(columns_of(view_, at.r, 2 * h), a.dbias_hh[d], 0, stream);
      sum(columns_of(view_, at.hn, h), a.dbias_hh[d], 2 * h, stream);
    }
    if (a.dx.defined()) finish_input(a, stream);
    clear(a, stream);
    for (int d = 0; d < a.directions; ++d) finish_state(a, d, stream);
  }

 private:
  static void multiply(const GruSequenceBackward::Args& a, const TensorView& left, bool transpose,
                       const TensorView& right, const TensorView& y, Stream& stream) {
    Matmul::Args product;
    product.a = left, product.b = right, product.y = y;
    product.transpose_a = transpose;
    product.tf32 = a.tf32;
    tenon::run<Matmul>(product, stream);
  }
  static void sum(const TensorView& x, const TensorView& y, int64_t first, Stream& stream) {
    TensorView part(y.as<char>() + first * static_cast<int64_t>(size_of(y.dtype)), y.dtype, {x.shape[1]});
    tenon::run<SumRows>({.x = x, .y = part}, stream);
  }
  // `count` blocks of H rows of a weight's gradient.
  static TensorView rows_of(const TensorView& weight, int64_t h, int64_t first, int64_t count) {
    TensorView part = weight;
    part.shape[0] = count * h;
    part.data =
        weight.as<char>() + first * h * weight.stride[0] * static_cast<int64_t>(size_of(weight.dtype));
    return part;
  }

  void finish_input(const GruSequenceBackward::Args& a, Stream& stream) const {
    const int64_t h = a.hidden_size, inputs = a.x.shape[1];
    const TensorView dinput = columns_of(view_, h, a.directions * 3 * h);
    if (a.directions == 1) return multiply(a, dinput, false, a.weight_ih[0], a.dx, stream);
    const Buffer scratch(kernel_device, 2 * a.weight_ih[0].bytes());
    const TensorView weights(scratch.data(), a.x.dtype, {6 * h, inputs});
    for (int d = 0; d < 2; ++d)
      tenon::run<Copy>({.x = a.weight_ih[d], .y = rows_of(weights, h, 3 * d, 3)}, stream);
    multiply(a, dinput, false, weights, a.dx, stream);
  }

  void clear(const GruSequenceBackward::Args& a, Stream& stream) const {
    dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
      launch(stream, {.grid = {sequence_count(a.cu_seqlens), a.directions}, .block = 256},
             clear_first_steps<T>, a.cu_seqlens.as<const int>(), data<T>(), a.hidden_size, a.directions);
    });
  }

  // Each row's gradient with the state that its step began with: that of the row before, or after.
  void finish_state(const GruSequenceBackward::Args& a, int d, Stream& stream) const {
    const int64_t h = a.hidden_size, pairs = std::max<int64_t>(a.x.shape[0] - 1, 0), later = d == 0 ? 1 : 0;
    const GradientColumns at = gradient_columns(h, d);
    const auto pair_rows = [&](const TensorView& matrix, int64_t first, int64_t count, int64_t first_row) {
      TensorView view = columns_of(matrix, first, count, pairs == 0 ? 0 : first_row);
      view.shape[0] = pairs;
      return view;
    };
    const TensorView previous = pair_rows(a.y, d * h, h, 1 - later);
    multiply(a, pair_rows(view_, at.r, 2 * h, later), true, previous, rows_of(a.dweight_hh[d], h, 0, 2),
             stream);
    multiply(a, pair_rows(view_, at.hn, h, later), true, previous, rows_of(a.dweight_hh[d], h, 2, 1), stream);
  }

  Buffer scratch_;
  TensorView view_;  // (T, D * 4H)
};

template <class T, class Args>
Layer<T> layer_of(const Args& a, const Buffer& sequences, void* gates, int64_t width) {
  Layer<T> layer = {};
  layer.sequences = sequences.as<DeviceSequence>();
  for (int d = 0; d < a.directions; ++d) layer.weight[d] = a.weight_hh[d].template as<T>();
  layer.y = a.y.template as<T>();
  layer.gates = static_cast<T*>(gates);
  layer.rows = a.x.shape[0], layer.width = width;
  layer.batch = static_cast<int>(sequence_count(a.cu_seqlens));
  layer.hidden = a.hidden_size, layer.directions = a.directions;
  return layer;
}

template <class T>
Layer<T> layer_of(const GruSequence::Args& a, const Buffer& sequences, const ProjectedInput& projected) {
  Layer<T> layer = layer_of<T>(a, sequences, projected.data(0), projected.width());
  for (int d = 0; d < a.directions; ++d) layer.bias[d] = a.bias_hh[d].as<T>();
  layer.h_n = a.h_n.as<T>();
  layer.keep = a.gates.defined();
  return layer;
}

template <class T>
GradientLayer<T> layer_of(const GruSequenceBackward::Args& a, const Buffer& sequences,
                          const GateGradients& gradients) {
  GradientLayer<T> layer = {};
  static_cast<Layer<T>&>(layer) = layer_of<T>(a, sequences, a.gates.data, 4 * int64_t{a.hidden_size});
  layer.dy = a.dy.as<T>(), layer.dh_n = a.dh_n.as<T>();
  layer.dgates = gradients.data<T>();
  return layer;
}

template <class Args>
size_t sequences_bytes(const Args& a) {
  return static_cast<size_t>(sequence_count(a.cu_seqlens)) * sizeof(DeviceSequence);
}

// An fp32 number for each unit of each sequence and direction.
template <class Args>
size_t state_bytes(const Args& a) {
  return static_cast<size_t>(a.directions * sequence_count(a.cu_seqlens) * a.hidden_size) * sizeof(float);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon::gru
