// The gradient of the GRU by tensor cores, a cluster of blocks for 8 sequences of one direction, as
// cluster.cu does the forward: the right operand is the gates' gradients r, z, hn of the step after, 3H
// columns of all units, the left one W_hh transposed, in registers. The gradients of weights and input are
// large products over all rows at the end.
//
// Bound by latency: 0.5 us a step by arithmetic at H = 256 in bf16; no GPU has confirmed it. A sum's order
// depends on H alone.
#include "kernels/base/registry.h"
#include "kernels/gru/cluster.h"

namespace tenon {
namespace {

using gru::DeviceSequence;

template <class T, int hidden>
__global__ void __launch_bounds__(gru::ClusterCut<T, hidden, 1>::threads)
    backward(gru::GradientLayer<T> layer) {
  using Cut = gru::ClusterCut<T, hidden, 1>;
  constexpr int word_units = Cut::word_units;
  constexpr int chains = 3;  // sums of one value that do not wait for each other
  auto& smem = shared<gru::ClusterSmem<T, hidden, 1, 6>>();
  const gru::ClusterPlace<Cut> place;
  const int d = place.direction, thread = thread_number();
  gru::init_barriers<Cut>(smem.filled);

  MmaA<typename Cut::Element> weight[2 * Cut::pairs];
  gru::load_weight<T>(place, weight,
                      [&](int unit, int column) { return layer.weight_of(d)[column * hidden + unit]; });
  const int number = place.first_sequence + place.column;
  const DeviceSequence sequence = number < layer.batch ? layer.sequences[number] : DeviceSequence{};
  const int steps = layer.sequences[place.first_sequence].length;
  const gru::GradientColumns at = gru::gradient_columns(hidden, d);

  // r, z, n, hn, the state before, and dy.
  const auto fetch = [&](int step) {
    if (step >= 0 && step < sequence.length) {
      const int row = sequence.row(step, d == 1);
      auto& words = smem.words[step % gru::stages];
      for (int gate = 0; gate < 4; ++gate)
        copy_async<4>(&words[gate][thread], layer.gates_of(row, d) + gate * hidden + place.unit);
      const int before = step > 0 ? sequence.row(step - 1, d == 1) : row;
      copy_async<4>(&words[4][thread], layer.y + layer.state(before, d) + place.unit, step > 0 ? 4 : 0);
      if (layer.dy) copy_async<4>(&words[5][thread], layer.dy + layer.state(row, d) + place.unit);
    }
    commit_copies();
  };
  for (int i = 1; i < gru::stages; ++i) fetch(steps - i);

  float dh[word_units] = {};
  for (int step = steps - 1; step >= 0; --step) {
    fetch(step - (gru::stages - 1));
    const int done = steps - 1 - step, next = (done + 1) % 2;
    if (done > 0) {
      smem.filled[done % 2].wait(gru::parity_of(done));
      MmaC c[chains] = {};
#pragma unroll
      for (int pair = 0; pair < Cut::pairs; ++pair) {
        MmaB<typename Cut::Element> b[2];
        gru::load_operand<T>(place, smem.operand[done % 2], pair, b);
#pragma unroll
        for (int k = 0; k < 2; ++k) mma(c[(2 * pair + k) % chains], weight[2 * pair + k], b[k]);
      }
      for (int i = 0; i < 4; ++i) c[0].values[i] += c[1].values[i] + c[2].values[i];
      float sums[1][word_units];
      gru::exchange<Cut, 1>(place, {c[0]}, smem.partial[done % 2], sums);
      for (int i = 0; i < word_units; ++i) dh[i] += sums[0][i];
    }
    if (step > 0) gru::allow_next(place, &smem.filled[next]);
    wait_copies<gru::stages - 1>();
    uint32_t words[4] = {};  // of r, z, hn, n: the first three go to the others
    if (step < sequence.length) {
      if (step == sequence.length - 1) {
        const T* last = layer.dh_n ? layer.dh_n + layer.last_state(sequence.index, d) + place.unit : nullptr;
        for (int i = 0; i < word_units; ++i) dh[i] = last ? to_float(last[i]) : 0.0f;
      }
      float read[6][word_units] = {}, gradients[4][word_units];
      for (int i = 0; i < 5; ++i) gru::unpack<T>(smem.words[step % gru::stages][i][thread], read[i]);
      if (layer.dy) gru::unpack<T>(smem.words[step % gru::stages][5][thread], read[5]);
      for (int i = 0; i < word_units; ++i) {
        const auto g = gru::gradient<float>({read[0][i], read[1][i], read[2][i], read[3][i]}, read[4][i],
                                            dh[i] + read[5][i]);
        gradients[0][i] = g.r, gradients[1][i] = g.z, gradients[2][i] = g.hn, gradients[3][i] = g.n;
        dh[i] = g.h;
      }
      for (int gate = 0; gate < 4; ++gate) words[gate] = gru::pack<T>(gradients[gate]);
    }
    if (step > 0) {
      for (int gate = 0; gate < 3; ++gate)
        gru::send(place, &smem.operand[next][place.column][gate * hidden + place.unit],
                  gru::operand_word<T>(words[gate]), &smem.filled[next]);
      gru::finish_sending(place, &smem.filled[next]);
    }
    if (step < sequence.length) {
      T* target = layer.dgates_of(sequence.row(step, d == 1)) + place.unit;
      gru::store_word(target + at.r, words[0]);
      gru::store_word(target + at.z, words[1]);
      gru::store_word(target + at.hn, words[2]);
      gru::store_word(target + at.n, words[3]);
    }
  }
}

template <class T, int hidden>
using Cut = gru::ClusterCut<T, hidden, 1>;
template <class T, int hidden>
using Smem = gru::ClusterSmem<T, hidden, 1, 6>;

std::string supports(const GruSequenceBackward::Args& a) {
  return gru::why_no_cluster(a, {&a.y, &a.dy, &a.gates}, [&]<class T, int hidden>() {
    return gru::can_launch<Cut<T, hidden>, Smem<T, hidden>>(backward<T, hidden>);
  });
}

void run(const GruSequenceBackward::Args& a, Stream& stream) {
  const gru::GateGradients gradients(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a));
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  gru::dispatch_hidden(a, [&]<class T, int hidden>() {
    launch(stream, gru::cluster_config<Cut<T, hidden>, Smem<T, hidden>>(a), backward<T, hidden>,
           gru::layer_of<T>(a, sequences, gradients));
  });
  gradients.finish(a, stream);
}

size_t workspace(const GruSequenceBackward::Args& a) {
  return gru::GateGradients::bytes(a) + gru::sequences_bytes(a);
}

const Register<GruSequenceBackward> registered{{.name = "cluster",
                                                .device = kernel_device,
                                                .priority = 20,
                                                .dtypes = {DType::f32, DType::bf16},
                                                .workspace = workspace,
                                                .supports = supports,
                                                .run = run}};

}  // namespace
}  // namespace tenon
