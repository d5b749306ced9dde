// The GRU's gradient on the CPU. The batch is cut into slices as in the forward, and each walks its steps
// from the last to the first: the gates' gradients as vector instructions, then the states' as a product with
// W_hh, packed once. They are kept for all rows, as (T, 4H) columns n, r, z, hn: the first 3H are those of
// the projected input, the last 3H those of the projected state. What remains are large products over all
// rows.
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
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
              const float* __restrict dy, float* __restrict dh, float* __restrict drz, float* __restrict dn,
              float* __restrict dhn, float* __restrict hidden) {
  for (int64_t j = 0; j < h; ++j) {
    const auto d = gru::gradient<float>({gates[j], gates[h + j], gates[2 * h + j], gates[3 * h + j]},
                                        previous[j], dh[j] + dy[j]);
    drz[j] = hidden[j] = d.r;
    drz[h + j] = hidden[h + j] = d.z;
    dn[j] = d.n;
    dhn[j] = hidden[2 * h + j] = d.hn;
    dh[j] = d.h;
  }
}

// Three blocks: r, z, n becomes n, r, z.
void last_to_front(const float* from, int64_t block, float* to) {
  std::copy_n(from + 2 * block, block, to);
  std::copy_n(from, 2 * block, to + block);
}

void front_to_last(const float* from, int64_t block, float* to) {
  std::copy_n(from + block, 2 * block, to);
  std::copy_n(from, block, to + 2 * block);
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
  void finish(const std::vector<gru::Slice>& slices) const {
    finish_biases();
    finish_input();
    // A first step has no state before it: it counts for W_ih, but not for W_hh.
    for (const gru::Slice& slice : slices)
      for (const gru::Sequence& sequence : slice.sequences)
        if (sequence.length > 0)
          std::fill_n(gates(slice.direction, sequence.row(0, slice.direction == 1)), 4 * h_, 0.0f);
    for (int d = 0; d < a_.directions; ++d) finish_state(d);
  }

 private:
  static const gru::Sequence& at(const gru::Slice& slice, int64_t i) {
    return slice.sequences[static_cast<size_t>(i)];
  }
  float* packed_weight(int d) const { return packed_.as<float>() + d * packed_floats_; }
  // The four blocks of a direction in a row.
  float* gates(int d, int64_t row) const { return gates_.as<float>() + (row * a_.directions + d) * 4 * h_; }
  float* state(const TensorView& y, int d, int64_t row) const {
    return y.as<float>() + (row * a_.directions + d) * h_;
  }
  const float* last_gradient(int d, int64_t sequence) const {
    const int64_t batch = a_.cu_seqlens.shape[0] - 1;
    return a_.dh_n.defined() ? a_.dh_n.as<float>() + (d * batch + sequence) * h_ : zero_.data();
  }
  void step_back(const gru::Sequence& sequence, int d, int64_t step, float* dh, float* hidden) const {
    const int64_t row = sequence.row(step, d == 1);
    const int64_t before = step > 0 ? sequence.row(step - 1, d == 1) : row;
    const float* forward_gates = a_.gates.as<float>() + d * rows_ * 4 * h_;
    float* kept = gates(d, row);
    step_row(h_, forward_gates + row * 4 * h_, step > 0 ? state(a_.y, d, before) : zero_.data(),
             a_.dy.defined() ? state(a_.dy, d, row) : zero_.data(), dh, kept + h_,
             kept + (d == 0 ? 3 * h_ : 0), kept + (d == 0 ? 0 : 3 * h_), hidden);
    if (step == 0) return;
    gru::prefetch(forward_gates + before * 4 * h_, 4 * h_);
    gru::prefetch(gates(d, before), 4 * h_);
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

  void multiply(const TensorView& a, bool transpose_a, const TensorView& b, const TensorView& y) const {
    Matmul::Args product;
    product.a = a, product.b = b, product.y = y;
    product.transpose_a = transpose_a;
    tenon::run<Matmul>(product, stream_);
  }

  // (rows, blocks * H) of the kept gradients from a block of a row on.
  TensorView columns(float* from, int64_t rows, int64_t blocks) const {
    TensorView view(from, DType::f32, {rows, blocks * h_});
    view.stride[0] = a_.directions * 4 * h_;
    return view;
  }

  void finish_biases() const {
    if (!a_.dbias_ih[0].defined()) return;
    const int64_t width = a_.directions * 4 * h_;
    const Buffer sums(Device::cpu, static_cast<size_t>(width) * sizeof(float));
    const TensorView all(gates_.data(), DType::f32, {rows_, width});
    tenon::run<SumRows>({.x = all, .y = {sums.data(), DType::f32, {width}}}, stream_);
    const float* sum = sums.as<float>();
    std::copy_n(sum + h_, 3 * h_, a_.dbias_ih[0].as<float>());
    front_to_last(sum, h_, a_.dbias_hh[0].as<float>());
    if (a_.directions == 1) return;
    front_to_last(sum + 4 * h_, h_, a_.dbias_ih[1].as<float>());
    std::copy_n(sum + 5 * h_, 3 * h_, a_.dbias_hh[1].as<float>());
  }

  void finish_input() const {
    const int64_t inputs = a_.x.shape[1], block = h_ * inputs, blocks = 3 * a_.directions;
    const Buffer scratch(Device::cpu, static_cast<size_t>(blocks * block) * sizeof(float));
    const TensorView dinput = columns(gates(0, 0) + h_, rows_, blocks);
    const TensorView weights(scratch.data(), DType::f32, {blocks * h_, inputs});
    float *first = scratch.as<float>(), *second = first + 3 * block;
    multiply(dinput, true, a_.x, weights);
    std::copy_n(first, 3 * block, a_.dweight_ih[0].as<float>());
    if (a_.directions == 2) front_to_last(second, block, a_.dweight_ih[1].as<float>());
    if (!a_.dx.defined()) return;
    std::copy_n(a_.weight_ih[0].as<float>(), 3 * block, first);
    if (a_.directions == 2) last_to_front(a_.weight_ih[1].as<float>(), block, second);
    multiply(dinput, false, weights, a_.dx);
  }

  // Each row's gradient with the state that its step began with: that of the row before, or after.
  void finish_state(int d) const {
    const int64_t pairs = std::max<int64_t>(rows_ - 1, 0), forward = d == 0 ? 1 : 0;
    const TensorView dhidden = columns(gates(d, forward) + (d == 0 ? 0 : h_), pairs, 3);
    TensorView previous(state(a_.y, d, 1 - forward), DType::f32, {pairs, h_});
    previous.stride[0] = a_.directions * h_;
    if (d == 1) return multiply(dhidden, true, previous, a_.dweight_hh[d]);
    const Buffer scratch(Device::cpu, a_.dweight_hh[d].bytes());
    multiply(dhidden, true, previous, {scratch.data(), DType::f32, {3 * h_, h_}});
    front_to_last(scratch.as<float>(), h_ * h_, a_.dweight_hh[d].as<float>());
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
  gradient.finish(slices);
}

size_t workspace(const GruSequenceBackward::Args& a) {
  const int64_t h = a.hidden_size, batch = a.cu_seqlens.shape[0] - 1;
  const int64_t floats = a.directions * (4 * h * (a.x.shape[0] + batch) + 3 * h * a.x.shape[1]);
  return static_cast<size_t>(a.directions) * packed_bytes(3 * h, h) +
         static_cast<size_t>(floats) * sizeof(float);
}

const Register<GruSequenceBackward> packed{
    {.name = "packed",
     .device = Device::cpu,
     .priority = 10,
     .dtypes = {DType::f32, DType::bf16},
     .workspace = cpu::workspace_of_either<GruSequenceBackward, workspace>,
     .run = cpu::run_either<GruSequenceBackward, run>}};

}  // namespace
}  // namespace tenon
