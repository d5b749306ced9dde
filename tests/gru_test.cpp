// What a GRU promises beside its numbers: the same bits for any number of threads, and for a sequence
// whatever else is in the batch.
#include <algorithm>

#include "kernels/base/philox.h"
#include "kernels/cpu/parallel.h"
#include "kernels/gru/gru_sequence.h"
#include "tests/golden.h"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t inputs = 20, hidden = 40;
const std::vector<int> lengths = {3, 17, 1, 0, 9, 30, 17, 2, 5};

std::vector<char> bytes_of(const TensorView& view) {
  return {view.as<char>(), view.as<char>() + view.bytes()};
}

class Layer {
 public:
  // The GRU of the sequences [first, last) of the batch.
  Layer(size_t first, size_t last) {
    int64_t before = 0, rows = 0;
    for (size_t i = 0; i < last; ++i) (i < first ? before : rows) += lengths[i];
    args.x = random({rows, inputs}, 1, before * inputs);
    args.cu_seqlens =
        arena.zeros({nullptr, DType::i32, {static_cast<int64_t>(last - first) + 1}}, DType::i32);
    for (size_t i = first; i < last; ++i)
      args.cu_seqlens.as<int32_t>()[i - first + 1] = args.cu_seqlens.as<int32_t>()[i - first] + lengths[i];
    for (uint32_t d = 0; d < 2; ++d) {
      args.weight_ih[d] = random({3 * hidden, inputs}, 2 + d);
      args.weight_hh[d] = random({3 * hidden, hidden}, 4 + d);
      args.bias_ih[d] = random({3 * hidden}, 6 + d);
      args.bias_hh[d] = random({3 * hidden}, 8 + d);
    }
    args.y = zeros({rows, 2 * hidden});
    args.h_n = zeros({2, static_cast<int64_t>(last - first), hidden});
    args.gates = zeros({2, rows, 4 * hidden});
    args.hidden_size = hidden;
    args.directions = 2;
    args.max_seqlen = *std::max_element(lengths.begin() + first, lengths.begin() + last);
  }

  GruSequenceBackward::Args gradient() {
    const auto like = [this](const std::array<TensorView, 2>& views) {
      return std::array{arena.zeros(views[0], DType::f32), arena.zeros(views[1], DType::f32)};
    };
    return {.dy = random({args.y.shape[0], 2 * hidden}, 10),
            .dh_n = random({2, args.h_n.shape[1], hidden}, 11),
            .x = args.x,
            .y = args.y,
            .gates = args.gates,
            .cu_seqlens = args.cu_seqlens,
            .weight_ih = args.weight_ih,
            .weight_hh = args.weight_hh,
            .dx = arena.zeros(args.x, DType::f32),
            .dweight_ih = like(args.weight_ih),
            .dweight_hh = like(args.weight_hh),
            .dbias_ih = like(args.bias_ih),
            .dbias_hh = like(args.bias_hh),
            .hidden_size = hidden,
            .directions = 2,
            .max_seqlen = args.max_seqlen};
  }

  Arena arena;
  GruSequence::Args args;

 private:
  TensorView zeros(std::initializer_list<int64_t> shape) {
    return arena.zeros({nullptr, DType::f32, shape}, DType::f32);
  }
  // Numbers in [-0.5, 0.5), the same for an element whichever part of the tensor is asked for.
  TensorView random(std::initializer_list<int64_t> shape, uint32_t stream, int64_t first = 0) {
    const TensorView view = zeros(shape);
    const RandomKey key{1, 0, stream};
    for (int64_t i = 0; i < view.size(); ++i)
      view.as<float>()[i] = static_cast<float>(key(static_cast<uint64_t>(first + i))) * 0x1p-32f - 0.5f;
    return view;
  }
};

class Threads {
 public:
  explicit Threads(int count) { set_thread_count(count); }
  ~Threads() { set_thread_count(before_); }

 private:
  int before_ = thread_count();
};

std::vector<char> all_bits(const Variant<GruSequence>& forward,
                           const Variant<GruSequenceBackward>& backward) {
  Layer layer(0, lengths.size());
  forward.run(layer.args, Stream::current(Device::cpu));
  GruSequenceBackward::Args gradient = layer.gradient();
  backward.run(gradient, Stream::current(Device::cpu));
  std::vector<char> bits;
  for (const NamedViews& views : {GruSequence::outputs(layer.args), GruSequenceBackward::outputs(gradient)})
    for (const auto& [name, view] : views) {
      const std::vector<char> bytes = bytes_of(*view);
      bits.insert(bits.end(), bytes.begin(), bytes.end());
    }
  return bits;
}

}  // namespace

TEST_CASE("a GRU and its gradients have the same bits for any number of threads") {
  for_each_variant<GruSequence>(DType::f32, [&](const Variant<GruSequence>& forward) {
    for_each_variant<GruSequenceBackward>(DType::f32, [&](const Variant<GruSequenceBackward>& backward) {
      std::vector<char> alone;
      {
        const Threads one(1);
        alone = all_bits(forward, backward);
      }
      for (int count : {2, 3, 8}) {
        INFO(count << " threads");
        const Threads threads(count);
        CHECK(all_bits(forward, backward) == alone);
      }
    });
  });
}

TEST_CASE("a GRU gives a sequence the same bits whatever else is in the batch") {
  for_each_variant<GruSequence>(DType::f32, [&](const Variant<GruSequence>& variant) {
    if (!variant.batch_invariant) return;
    Layer batch(0, lengths.size());
    variant.run(batch.args, Stream::current(Device::cpu));
    int64_t row = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      Layer alone(i, i + 1);
      variant.run(alone.args, Stream::current(Device::cpu));
      TensorView part = alone.args.y;
      part.data = batch.args.y.as<float>() + row * 2 * hidden;
      INFO("sequence " << i);
      CHECK(bytes_of(part) == bytes_of(alone.args.y));
      row += lengths[i];
    }
  });
}
