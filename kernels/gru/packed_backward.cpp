// The GRU's gradient on the CPU. The batch is cut into slices as in the forward, and each walks its steps
// from the last to the first: the gates' gradients as vector instructions, then the states' as a product with
// W_hh, packed once. They are kept for all rows, as (T, 4H) columns n, r, z, hn: the first 3H are those of
// the projected input, the last 3H those of the projected state. What remains are large products over all
// rows.
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/cpu/parallel.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/gru_sequence.h"
#include "kernels/gru/schedule.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/packed.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

// dh comes in as the gradient of the new state and goes out as the part for the old one that leads through z.
void step_row(int64_t h, const float* __restrict gates, const float* __restrict previous,
              const float* __restrict dy, float* __restrict dh, float* __restrict kept,
              float* __restrict hidden) {
  for (int64_t j = 0; j < h; ++j) {
    const auto d = gru::gradient<float>({gates[j], gates[h + j], gates[2 * h + j], gates[3 * h + j]},
                                        previous[j], dh[j] + dy[j]);
    kept[j] = d.n;
    kept[h + j] = hidden[j] = d.r;
    kept[2 * h + j] = hidden[h + j] = d.z;
    kept[3 * h + j] = hidden[2 * h + j] = d.hn;
    dh[j] = d.h;
  }
}

// The rows of to(3H, columns) are those of from, of which `shift` blocks of H are moved from the front to the
// end: 2 makes n, r, z of r, z, n, and 1 turns it back.
void rotate_gates(const float* from, int64_t block, int shift, float* to) {
  std::copy_n(from + shift * block, (3 - shift) * block, to);
  std::copy_n(from, shift * block, to + (3 - shift) * block);
}

class Gradient {
 public:
  Gradient(const GruSequenceBackward::Args& a, Stream& stream)
      : a_(a),
        stream_(stream),
        h_(a.hidden_size),
        rows_(a.x.shape[0]),
        packed_floats_(static_cast<int64_t>(packed_bytes(3 * h_, h_) / sizeof(float))),
        packed_(Device::cpu, packed_bytes(3 * h_, h_) * static_cast<size_t>(a.directions)),
        gates_(Device::cpu, static_cast<size_t>(a.directions * rows_ * 4 * h_) * sizeof(float)),
        zero_(static_cast<size_t>(h_)) {
    for (int d = 0; d < a.directions; ++d)
      pack_b(a.weight_hh[d].as<float>(), h_, false, 3 * h_, h_, packed_weight(d));
  }

  void walk(const gru::Slice& slice) const {
    const Buffer scratch(Device::cpu, static_cast<size_t>(4 * slice.size() * h_) * sizeof(float));
    float *dh = scratch.as<float>(), *hidden = dh + slice.size() * h_;
    const int d = slice.direction;
    int64_t active = 0;
    for (int64_t step = slice.steps() - 1; step >= 0; --step) {
      for (; active < slice.size() && at(slice, active).length > step; ++active)
        std::copy_n(last_gradient(d, at(slice, active).index), h_, dh + active * h_);
      for (int64_t i = 0; i < active; ++i) step_back(at(slice, i), d, step, dh + i * h_, hidden + i * 3 * h_);
      if (step > 0) add_projected(d, active, hidden, dh);
    }
  }

  // What is left once the gates' gradients of all rows are there.
  void finish(int d, const std::vector<gru::Slice>& slices) const {
    finish_biases(d);
    finish_input(d);
    // A first step has no state before it: it counts for W_ih, but not for W_hh.
    for (const gru::Slice& slice : slices)
      if (slice.direction == d)
        for (const gru::Sequence& sequence : slice.sequences)
          if (sequence.length > 0) std::fill_n(gates(d) + sequence.row(0, d == 1) * 4 * h_, 4 * h_, 0.0f);
    const int64_t pairs = std::max<int64_t>(rows_ - 1, 0);
    TensorView dhidden = gate_columns(d, 1, pairs), previous(state(a_.y, d, 0), DType::f32, {pairs, h_});
    previous.stride[0] = a_.directions * h_;
    if (d == 0)
      dhidden.data = dhidden.as<float>() + 4 * h_;
    else
      previous.data = previous.as<float>() + previous.stride[0];
    multiply(dhidden, true, previous, a_.dweight_hh[d]);
  }

 private:
  static const gru::Sequence& at(const gru::Slice& slice, int64_t i) {
    return slice.sequences[static_cast<size_t>(i)];
  }
  float* packed_weight(int d) const { return packed_.as<float>() + d * packed_floats_; }
  float* gates(int d) const { return gates_.as<float>() + d * rows_ * 4 * h_; }
  float* state(const TensorView& y, int d, int64_t row) const {
    return y.as<float>() + (row * a_.directions + d) * h_;
  }
  const float* last_gradient(int d, int64_t sequence) const {
    const int64_t batch = a_.cu_seqlens.shape[0] - 1;
    return a_.dh_n.defined() ? a_.dh_n.as<float>() + (d * batch + sequence) * h_ : zero_.data();
  }
  // Columns of three gates: n, r, z from block 0 on, or r, z, hn from block 1 on.
  TensorView gate_columns(int d, int64_t block, int64_t rows) const {
    TensorView view(gates(d) + block * h_, DType::f32, {rows, 3 * h_});
    view.stride[0] = 4 * h_;
    return view;
  }

  void step_back(const gru::Sequence& sequence, int d, int64_t step, float* dh, float* hidden) const {
    const int64_t row = sequence.row(step, d == 1);
    const int64_t before = step > 0 ? sequence.row(step - 1, d == 1) : row;
    const float* forward_gates = a_.gates.as<float>() + d * rows_ * 4 * h_;
    step_row(h_, forward_gates + row * 4 * h_, step > 0 ? state(a_.y, d, before) : zero_.data(),
             a_.dy.defined() ? state(a_.dy, d, row) : zero_.data(), dh, gates(d) + row * 4 * h_, hidden);
    if (step == 0) return;
    gru::prefetch(forward_gates + before * 4 * h_, 4 * h_);
    gru::prefetch(gates(d) + before * 4 * h_, 4 * h_);
    if (a_.dy.defined()) gru::prefetch(state(a_.dy, d, before), h_);
    if (step > 1) gru::prefetch(state(a_.y, d, sequence.row(step - 2, d == 1)), h_);
  }

  void add_projected(int d, int64_t active, const float* hidden, float* dh) const {
    packed_matmul({.m = active,
                   .n = h_,
                   .k = 3 * h_,
                   .a = hidden,
                   .a_stride = 3 * h_,
                   .b_packed = packed_weight(d),
                   .y = dh,
                   .y_stride = h_,
                   .beta = 1,
                   .serial = true});
  }

  void multiply(const TensorView& a, bool transpose_a, const TensorView& b, const TensorView& y,
                double beta = 0) const {
    Matmul::Args product;
    product.a = a, product.b = b, product.y = y;
    product.transpose_a = transpose_a;
    product.beta = beta;
    tenon::run<Matmul>(product, stream_);
  }

  void finish_biases(int d) const {
    if (!a_.dbias_ih[d].defined()) return;
    const Buffer scratch(Device::cpu, static_cast<size_t>(4 * h_) * sizeof(float));
    const TensorView all(gates(d), DType::f32, {rows_, 4 * h_});
    tenon::run<SumRows>({.x = all, .y = {scratch.data(), DType::f32, {4 * h_}}}, stream_);
    rotate_gates(scratch.as<float>(), h_, 1, a_.dbias_ih[d].as<float>());
    std::copy_n(scratch.as<float>() + h_, 3 * h_, a_.dbias_hh[d].as<float>());
  }

  void finish_input(int d) const {
    const int64_t inputs = a_.x.shape[1];
    const Buffer scratch(Device::cpu, static_cast<size_t>(3 * h_ * inputs) * sizeof(float));
    const TensorView rotated(scratch.data(), DType::f32, {3 * h_, inputs});
    multiply(gate_columns(d, 0, rows_), true, a_.x, rotated);
    rotate_gates(scratch.as<float>(), h_ * inputs, 1, a_.dweight_ih[d].as<float>());
    if (!a_.dx.defined()) return;
    rotate_gates(a_.weight_ih[d].as<float>(), h_ * inputs, 2, scratch.as<float>());
    multiply(gate_columns(d, 0, rows_), false, rotated, a_.dx, d == 0 ? 0 : 1);
  }

  const GruSequenceBackward::Args& a_;
  Stream& stream_;
  const int64_t h_, rows_, packed_floats_;
  const Buffer packed_, gates_;
  const std::vector<float> zero_;
};

void run(const GruSequenceBackward::Args& a, Stream& stream) {
  const Gradient gradient(a, stream);
  const std::vector<gru::Slice> slices = gru::slices(a.cu_seqlens, a.directions);
  parallel(static_cast<int64_t>(slices.size()),
           [&](int64_t i) { gradient.walk(slices[static_cast<size_t>(i)]); });
  for (int d = 0; d < a.directions; ++d) gradient.finish(d, slices);
}

size_t workspace(const GruSequenceBackward::Args& a) {
  const int64_t h = a.hidden_size, batch = a.cu_seqlens.shape[0] - 1;
  const int64_t floats = a.directions * (4 * h * (a.x.shape[0] + batch)) + 3 * h * a.x.shape[1];
  return static_cast<size_t>(a.directions) * packed_bytes(3 * h, h) +
         static_cast<size_t>(floats) * sizeof(float);
}

const Register<GruSequenceBackward> packed{{.name = "packed",
                                            .device = Device::cpu,
                                            .priority = 10,
                                            .dtypes = {DType::f32},
                                            .workspace = workspace,
                                            .run = run}};

}  // namespace
}  // namespace tenon
