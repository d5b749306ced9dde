// The GRU by tensor cores, a cluster of blocks for 8 sequences of one direction: 4 blocks for bf16, 8 for
// f32 that may be rounded to tf32. A block owns H / 4 (H / 8) units and keeps their part of W_hh in
// registers, as the left operand of mma: units stand on M, the 8 sequences on N. In a step it multiplies with
// the states of all units, which stand in its shared memory; the warps that share a unit's columns exchange
// partial sums; each thread finishes one word (two units in bf16, one in f32) of one sequence, carries its
// state in registers and stores the word into the shared memory of every block of the cluster. Those stores
// count at the barrier that the next step waits for. There are two buffers of states: before it fills one, a
// block has heard by the same barrier that all have read it. The backward does the same with the gates'
// gradients, 3H columns, and W_hh transposed. Sequences are sorted by length, so that the 8 of a cluster end
// at about the same step, and clusters do not wait for each other.
//
// Bound by latency. By arithmetic at H = 256 in bf16: 48 mma a scheduler 300 to 380 cycles, exchange and cell
// 150, stores and barrier 250: 0.4 us a step at 1.755 GHz, of the backward 0.5 us; no GPU has confirmed it.
// A sum's order depends on H alone. Hidden sizes: 64, 128, 256.
#include "kernels/base/registry.h"
#include "kernels/gru/cluster.h"

namespace tenon {
namespace {

using gru::DeviceSequence;

template <class T, int hidden>
__global__ void __launch_bounds__(gru::ClusterCut<T, hidden, 3>::threads) forward(gru::Layer<T> layer) {
  using Cut = gru::ClusterCut<T, hidden, 3>;
  constexpr int word_units = Cut::word_units;
  auto& smem = shared<gru::ClusterSmem<T, hidden, 3, 3>>();
  const gru::ClusterPlace<Cut> place;
  const int d = place.direction, thread = thread_number();
  gru::init_barriers<Cut>(smem.filled);

  MmaA<typename Cut::Element> weight[3][2 * Cut::pairs];
  float bias[3][word_units] = {};
#pragma unroll
  for (int gate = 0; gate < 3; ++gate) {
    gru::load_weight<T>(place, weight[gate], [&](int unit, int column) {
      return layer.weight_of(d)[(gate * hidden + unit) * hidden + column];
    });
    if (layer.bias_of(d))
      for (int i = 0; i < word_units; ++i)
        bias[gate][i] = to_float(layer.bias_of(d)[gate * hidden + place.unit + i]);
  }
  const int number = place.first_sequence + place.column;
  const DeviceSequence sequence = number < layer.batch ? layer.sequences[number] : DeviceSequence{};
  const int steps = layer.sequences[place.first_sequence].length;
  T* const last = layer.h_n + layer.last_state(sequence.index, d) + place.unit;
  if (number < layer.batch && sequence.length == 0) gru::store_word(last, 0);

  const auto fetch = [&](int step) {
    if (step < sequence.length) {
      const T* x = layer.gates_of(sequence.row(step, d == 1), d) + place.unit;
      for (int gate = 0; gate < 3; ++gate)
        copy_async<4>(&smem.words[step % gru::stages][gate][thread], x + gate * hidden);
    }
    commit_copies();
  };
  for (int step = 0; step < gru::stages - 1; ++step) fetch(step);

  float state[word_units] = {};
  for (int step = 0; step < steps; ++step) {
    fetch(step + gru::stages - 1);
    float sums[3][word_units] = {};
    if (step > 0) {
      smem.filled[step % 2].wait(gru::parity_of(step));
      MmaC c[3] = {};
#pragma unroll
      for (int pair = 0; pair < Cut::pairs; ++pair) {
        MmaB<typename Cut::Element> b[2];
        gru::load_operand<T>(place, smem.operand[step % 2], pair, b);
#pragma unroll
        for (int k = 0; k < 2; ++k)
#pragma unroll
          for (int gate = 0; gate < 3; ++gate) mma(c[gate], weight[gate][2 * pair + k], b[k]);
      }
      gru::exchange<Cut, 3>(place, c, smem.partial[step % 2], sums);
    }
    const int next = (step + 1) % 2;
    if (step + 1 < steps) gru::allow_next(place, &smem.filled[next]);
    wait_copies<gru::stages - 1>();
    uint32_t word = 0,
             kept[4];  // 0 for a sequence that has ended: nobody uses it, but its bytes are expected
    if (step < sequence.length) {
      float x[3][word_units], values[4][word_units];
      for (int gate = 0; gate < 3; ++gate)
        gru::unpack<T>(smem.words[step % gru::stages][gate][thread], x[gate]);
      for (int i = 0; i < word_units; ++i) {
        const auto g = gru::gates<gru::StandardMath, float>(
            {x[0][i], x[1][i], x[2][i]},
            {sums[0][i] + bias[0][i], sums[1][i] + bias[1][i], sums[2][i] + bias[2][i]});
        state[i] = gru::next_state(g, state[i]);
        values[0][i] = g.r, values[1][i] = g.z, values[2][i] = g.n, values[3][i] = g.hn;
      }
      word = gru::pack<T>(state);
      for (int gate = 0; gate < 4; ++gate) kept[gate] = gru::pack<T>(values[gate]);
    }
    if (step + 1 < steps) {
      gru::send(place, &smem.operand[next][place.column][place.unit], gru::operand_word<T>(word),
                &smem.filled[next]);
      gru::finish_sending(place, &smem.filled[next]);
    }
    if (step < sequence.length) {
      const int row = sequence.row(step, d == 1);
      gru::store_word(layer.y + layer.state(row, d) + place.unit, word);
      if (step == sequence.length - 1) gru::store_word(last, word);
      if (layer.keep)
        for (int gate = 0; gate < 4; ++gate)
          gru::store_word(layer.gates_of(row, d) + gate * hidden + place.unit, kept[gate]);
    }
  }
}

template <class T, int hidden>
using Cut = gru::ClusterCut<T, hidden, 3>;
template <class T, int hidden>
using Smem = gru::ClusterSmem<T, hidden, 3, 3>;

std::string supports(const GruSequence::Args& a) {
  return gru::why_no_cluster(a, {&a.y, &a.h_n, &a.gates}, [&]<class T, int hidden>() {
    return gru::can_launch<Cut<T, hidden>, Smem<T, hidden>>(forward<T, hidden>);
  });
}

void run(const GruSequence::Args& a, Stream& stream) {
  const gru::ProjectedInput projected(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a));
  projected.compute(a, stream);
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  gru::dispatch_hidden(a, [&]<class T, int hidden>() {
    launch(stream, gru::cluster_config<Cut<T, hidden>, Smem<T, hidden>>(a), forward<T, hidden>,
           gru::layer_of<T>(a, sequences, projected));
  });
}

size_t workspace(const GruSequence::Args& a) {
  return gru::ProjectedInput::bytes(a) + gru::sequences_bytes(a);
}

const Register<GruSequence> registered{{.name = "cluster",
                                        .device = kernel_device,
                                        .priority = 20,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .workspace = workspace,
                                        .supports = supports,
                                        .run = run}};

}  // namespace
}  // namespace tenon
