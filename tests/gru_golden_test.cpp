// The GRU against torch.nn.GRU: ragged and unsorted lengths, one or two layers and directions, outputs and
// all gradients, for every pair of a forward and a backward variant.
#include <algorithm>

#include "kernels/gru/gru_sequence.h"
#include "tests/golden.h"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Layer {
  GruSequence::Args forward;
  GruSequenceBackward::Args backward;
};

class Gru {
 public:
  Gru(const TensorFile& file, DType dtype, int layers, int directions)
      : file_(file), dtype_(dtype), layers_(static_cast<size_t>(layers)), directions_(directions) {}

  void forward(const Variant<GruSequence>& variant) {
    TensorView x = arena_.copy(golden(file_, "x"), dtype_);
    for (size_t i = 0; i < layers_.size(); ++i) {
      GruSequence::Args& a = layers_[i].forward;
      a.x = x;
      a.cu_seqlens = golden(file_, "cu_seqlens");
      a.directions = directions_;
      a.max_seqlen = longest(a.cu_seqlens);
      for (int d = 0; d < directions_; ++d) {
        a.weight_ih[d] = arena_.copy(golden(file_, name("weight_ih", i, d)), dtype_);
        a.weight_hh[d] = arena_.copy(golden(file_, name("weight_hh", i, d)), dtype_);
        a.bias_ih[d] = arena_.copy(golden(file_, name("bias_ih", i, d)), dtype_);
        a.bias_hh[d] = arena_.copy(golden(file_, name("bias_hh", i, d)), dtype_);
      }
      const int64_t h = a.weight_hh[0].shape[1], rows = x.shape[0], batch = a.cu_seqlens.shape[0] - 1;
      a.hidden_size = static_cast<int>(h);
      a.y = zeros({rows, directions_ * h});
      a.h_n = zeros({directions_, batch, h});
      a.gates = zeros({directions_, rows, 4 * h});
      variant.run(a, Stream::current(Device::cpu));
      x = a.y;
    }
  }

  void backward(const Variant<GruSequenceBackward>& variant) {
    TensorView dy = arena_.copy(golden(file_, "grad_output"), dtype_);
    for (size_t i = layers_.size(); i-- > 0;) {
      const GruSequence::Args& f = layers_[i].forward;
      GruSequenceBackward::Args& a = layers_[i].backward;
      a = {.dy = dy,
           .dh_n = arena_.copy(part(golden(file_, "grad_h_n"), i), dtype_),
           .x = f.x,
           .y = f.y,
           .gates = f.gates,
           .cu_seqlens = f.cu_seqlens,
           .weight_ih = f.weight_ih,
           .weight_hh = f.weight_hh,
           .dx = arena_.zeros(f.x, dtype_),
           .dweight_ih = like(f.weight_ih),
           .dweight_hh = like(f.weight_hh),
           .dbias_ih = like(f.bias_ih),
           .dbias_hh = like(f.bias_hh),
           .hidden_size = f.hidden_size,
           .directions = directions_,
           .max_seqlen = f.max_seqlen};
      variant.run(a, Stream::current(Device::cpu));
      dy = a.dx;
    }
  }

  void compare() const {
    const std::string type = "f64.";
    for (size_t i = 0; i < layers_.size(); ++i) {
      compare(type + "h_n", layers_[i].forward.h_n, part(golden(file_, type + "h_n"), i));
      const GruSequenceBackward::Args& a = layers_[i].backward;
      for (int d = 0; d < directions_; ++d) {
        compare(type + "grad." + name("weight_ih", i, d), a.dweight_ih[d]);
        compare(type + "grad." + name("weight_hh", i, d), a.dweight_hh[d]);
        compare(type + "grad." + name("bias_ih", i, d), a.dbias_ih[d]);
        compare(type + "grad." + name("bias_hh", i, d), a.dbias_hh[d]);
      }
    }
    compare(type + "output", layers_.back().forward.y);
    compare(type + "grad.x", layers_.front().backward.dx);
  }

 private:
  static std::string name(const std::string& kind, size_t layer, int direction) {
    return str(kind, "_l", layer, direction == 1 ? "_reverse" : "");
  }
  static int longest(const TensorView& cu_seqlens) {
    int rows = 0;
    for (int64_t i = 1; i < cu_seqlens.shape[0]; ++i)
      rows = std::max(rows, cu_seqlens.as<int32_t>()[i] - cu_seqlens.as<int32_t>()[i - 1]);
    return rows;
  }
  void compare(const std::string& name, const TensorView& view) const {
    compare(name, view, golden(file_, name));
  }
  void compare(const std::string& name, const TensorView& view, const TensorView& reference) const {
    INFO(name);
    CHECK(error(view, reference) <= parity(dtype_));
  }
  // The slice of one layer of (layers * D, B, H).
  TensorView part(TensorView view, size_t layer) const {
    view.shape[0] = directions_;
    view.data = view.as<char>() + layer * view.bytes();
    return view;
  }
  TensorView zeros(std::initializer_list<int64_t> shape) {
    return arena_.zeros({nullptr, dtype_, shape}, dtype_);
  }
  std::array<TensorView, 2> like(const std::array<TensorView, 2>& views) {
    std::array<TensorView, 2> result;
    for (int d = 0; d < directions_; ++d) result[d] = arena_.zeros(views[d], dtype_);
    return result;
  }

  const TensorFile& file_;
  Arena arena_;
  DType dtype_;
  std::vector<Layer> layers_;
  int directions_;
};

void check_parity(const std::string& name, int layers, int directions) {
  const TensorFile file = golden_file(name);
  for (DType dtype : {DType::f64, DType::f32})
    for_each_variant<GruSequence>(dtype, [&](const Variant<GruSequence>& forward) {
      for_each_variant<GruSequenceBackward>(dtype, [&](const Variant<GruSequenceBackward>& backward) {
        Gru gru(file, dtype, layers, directions);
        gru.forward(forward);
        gru.backward(backward);
        gru.compare();
      });
    });
}

}  // namespace

TEST_CASE("two bidirectional layers equal torch.nn.GRU in outputs and gradients") {
  check_parity("gru_bidirectional", 2, 2);
}

TEST_CASE("one unidirectional layer equals torch.nn.GRU in outputs and gradients") {
  check_parity("gru_unidirectional", 1, 1);
}
