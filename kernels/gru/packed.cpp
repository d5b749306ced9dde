// The GRU on the CPU. The input of all steps is projected in one product for each direction. Then the batch
// is cut into slices that run side by side, each on a core of its own: a step is the product of the states of
// its unfinished sequences with W_hh, packed once so that it stays in L2, and the gates as vector
// instructions. Bound by the products. The bits of a sequence depend neither on the rest of the batch nor on
// the threads.
#include "kernels/matmul/packed.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/widened.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/gru_sequence.h"
#include "kernels/gru/schedule.h"
#include "kernels/gru/vector_math.h"
#include "kernels/matmul/matmul.h"

namespace tenon {
namespace {

// x holds the projected input and, if the gates are kept, takes their place: r, z, n, hn.
template <bool keep>
void step_row(int64_t h, float* __restrict x, const float* __restrict hidden, float* __restrict state,
              float* __restrict y) {
  for (int64_t j = 0; j < h; ++j) {
    const auto g = gru::gates<gru::VectorMath, float>({x[j], x[h + j], x[2 * h + j]},
                                                      {hidden[j], hidden[h + j], hidden[2 * h + j]});
    y[j] = state[j] = gru::next_state(g, state[j]);
    if constexpr (keep) x[j] = g.r, x[h + j] = g.z, x[2 * h + j] = g.n, x[3 * h + j] = g.hn;
  }
}

class Recurrence {
 public:
  explicit Recurrence(const GruSequence::Args& a)
      : a_(a),
        h_(a.hidden_size),
        rows_(a.x.shape[0]),
        width_(a.gates.defined() ? 4 * h_ : 3 * h_),
        packed_floats_(static_cast<int64_t>(packed_bytes(h_, 3 * h_) / sizeof(float))),
        packed_(Device::cpu, packed_bytes(h_, 3 * h_) * static_cast<size_t>(a.directions)) {
    if (!a.gates.defined())
      scratch_ = Buffer(Device::cpu, static_cast<size_t>(a.directions * rows_ * width_) * sizeof(float));
  }

  void project_inputs(Stream& stream) const {
    for (int d = 0; d < a_.directions; ++d) {
      TensorView y(projected(d), DType::f32, {rows_, 3 * h_});
      y.stride[0] = width_;
      Matmul::Args product;
      product.a = a_.x, product.b = a_.weight_ih[d], product.y = y;
      product.transpose_b = true;
      product.bias = a_.bias_ih[d];
      product.epilogue = product.bias.defined() ? Epilogue::bias : Epilogue::none;
      tenon::run<Matmul>(product, stream);
      pack_b(a_.weight_hh[d].as<float>(), h_, true, h_, 3 * h_, packed_weight(d));
    }
  }

  void walk(const gru::Slice& slice) const {
    const Buffer scratch(Device::cpu, static_cast<size_t>(4 * slice.size() * h_) * sizeof(float));
    float *state = scratch.as<float>(), *hidden = state + slice.size() * h_;
    std::fill_n(state, slice.size() * h_, 0.0f);
    int64_t active = slice.size();
    for (int64_t step = 0; step < slice.steps(); ++step) {
      while (slice.sequences[static_cast<size_t>(active - 1)].length <= step) --active;
      project_states(slice.direction, active, state, hidden);
      for (int64_t i = 0; i < active; ++i) advance(slice, i, step, hidden + i * 3 * h_, state + i * h_);
    }
    const int64_t batch = a_.cu_seqlens.shape[0] - 1;
    for (int64_t i = 0; i < slice.size(); ++i)
      std::copy_n(state + i * h_, h_,
                  a_.h_n.as<float>() +
                      (slice.direction * batch + slice.sequences[static_cast<size_t>(i)].index) * h_);
  }

 private:
  float* projected(int d) const {
    return (a_.gates.defined() ? a_.gates.as<float>() : scratch_.as<float>()) + d * rows_ * width_;
  }
  float* packed_weight(int d) const { return packed_.as<float>() + d * packed_floats_; }

  void project_states(int d, int64_t active, const float* state, float* hidden) const {
    const TensorView& bias = a_.bias_hh[d];
    packed_matmul({.m = active,
                   .n = 3 * h_,
                   .k = h_,
                   .a = state,
                   .a_stride = h_,
                   .b_packed = packed_weight(d),
                   .y = hidden,
                   .y_stride = 3 * h_,
                   .epilogue = bias.defined() ? Epilogue::bias : Epilogue::none,
                   .bias = bias.as<float>(),
                   .serial = true});
  }

  void advance(const gru::Slice& slice, int64_t i, int64_t step, const float* hidden, float* state) const {
    const gru::Sequence& sequence = slice.sequences[static_cast<size_t>(i)];
    const int d = slice.direction;
    const int64_t row = sequence.row(step, d == 1);
    float* x = projected(d) + row * width_;
    float* y = a_.y.as<float>() + (row * a_.directions + d) * h_;
    if (a_.gates.defined())
      step_row<true>(h_, x, hidden, state, y);
    else
      step_row<false>(h_, x, hidden, state, y);
    if (step + 1 < sequence.length)
      gru::prefetch(projected(d) + sequence.row(step + 1, d == 1) * width_, 3 * h_);
  }

  const GruSequence::Args& a_;
  const int64_t h_, rows_, width_, packed_floats_;
  Buffer packed_, scratch_;
};

void run(const GruSequence::Args& a, Stream& stream) {
  const Recurrence recurrence(a);
  recurrence.project_inputs(stream);
  const std::vector<gru::Slice> slices = gru::slices(a.cu_seqlens, a.directions);
  parallel(static_cast<int64_t>(slices.size()),
           [&](int64_t i) { recurrence.walk(slices[static_cast<size_t>(i)]); });
}

size_t workspace(const GruSequence::Args& a) {
  const int64_t h = a.hidden_size, batch = a.cu_seqlens.shape[0] - 1;
  const int64_t floats = 4 * batch * h + (a.gates.defined() ? 0 : 3 * a.x.shape[0] * h);
  return static_cast<size_t>(a.directions) *
         (packed_bytes(h, 3 * h) + static_cast<size_t>(floats) * sizeof(float));
}

const Register<GruSequence> packed{{.name = "packed",
                                    .device = Device::cpu,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .workspace = cpu::workspace_of_either<GruSequence, workspace>,
                                    .run = cpu::run_either<GruSequence, run>}};

}  // namespace
}  // namespace tenon
