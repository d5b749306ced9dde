// The GRU in one cooperative launch for all steps of both directions. A block owns some units of a direction
// and a slice of the sequences, dealt in order of their lengths so that all slices shrink alike. Its rows of
// W_hh (the backward: columns) stay in shared memory as fp32 all the time. In a step it takes the states of
// its sequences (the backward: the gates' gradients of the step after), 32 at a time, from where the other
// blocks left them in global memory, multiplies and puts the cell on top; then the whole grid waits. A thread
// makes one unit of four sequences, over one half of the columns; both halves meet in shared memory.
//
// Bound by fp32 multiplications and the grid's barrier: at H = 256, B = 128, both directions on 128 SMs a
// step has 3072 cycles of FMAs (1.75 us at 1.755 GHz), 0.5 us of loads from L2 and 1 to 1.5 us of barrier, by
// arithmetic; no GPU has confirmed it. A sum's order depends on H alone.
#include <algorithm>

#include "kernels/base/registry.h"
#include "kernels/gru/device_products.h"

namespace tenon {
namespace {

using gru::DeviceSequence;
using gru::GradientLayer;
using gru::Layer;

constexpr int threads = 256, tile_units = 16, tile_sequences = 32;
constexpr int half = threads / 2;  // threads that share the columns of a half
constexpr size_t most_shared_bytes = 227 * 1024;

// Columns of a row in shared memory: whole vectors for each half, zero beyond the last; and their stride, by
// which rows start in different banks.
__host__ __device__ constexpr int padded(int columns) { return (columns + 7) / 8 * 8; }
__host__ __device__ constexpr int stride_of(int columns) { return padded(columns) + 4; }

// What a block does: units [first_unit, first_unit + units) of a direction, the sequences slice,
// slice + slices, … of the sorted batch.
struct Share {
  int units, columns, stride;  // columns of the product: H in the forward, 3H in the backward
  int direction = static_cast<int>(blockIdx.z);
  int slice = static_cast<int>(blockIdx.y), slices = static_cast<int>(gridDim.y);
  int first_unit = static_cast<int>(blockIdx.x) * units;

  __device__ Share(int units, int columns) : units(units), columns(columns), stride(stride_of(columns)) {}
};

// Shared memory, one behind the other: rows of weights, the tile's rows, what the halves exchange, sequences.
template <int gates>
struct Memory {
  float *weight, *tile, *exchange;
  DeviceSequence* sequences;

  __device__ explicit Memory(const Share& share) {
    weight = &shared<float>();
    tile = weight + gates * share.units * share.stride;
    exchange = tile + tile_sequences * share.stride;
    sequences = reinterpret_cast<DeviceSequence*>(exchange + 2 * 2 * gates * half);
  }
  static constexpr size_t bytes(int units, int columns) {
    const int floats = (gates * units + tile_sequences) * stride_of(columns) + 2 * 2 * gates * half;
    return static_cast<size_t>(floats) * sizeof(float) + tile_sequences * sizeof(DeviceSequence);
  }
};

// Row `row` of the block's weights, column k; zero outside.
template <class Value>
__device__ void load_weights(const Share& share, int rows, float* weight, const Value& value) {
  const int width = padded(share.columns);
  for (int i = thread_number(); i < rows * width; i += threads) {
    const int row = i / width, k = i % width;
    weight[row * share.stride + k] = k < share.columns ? value(row, k) : 0.0f;
  }
}

// The tile's sequences, from place `first` of the slice on; those beyond the batch have no row.
template <class T>
__device__ void load_sequences(const Layer<T>& layer, const Share& share, int first,
                               DeviceSequence* sequences) {
  const int i = thread_number();
  if (i >= tile_sequences) return;
  const int place = share.slice + (first + i) * share.slices;
  sequences[i] = place < layer.batch ? layer.sequences[place] : DeviceSequence{};
}

// The tile's rows, of sequences with more than `step` rows; the others' are not read.
template <class Value>
__device__ void load_tile(const Share& share, const DeviceSequence* sequences, int step, float* tile,
                          const Value& value) {
  const int width = padded(share.columns);
  for (int i = thread_number(); i < tile_sequences * width; i += threads) {
    const int row = i / width, k = i % width;
    if (sequences[row].length > step)
      tile[row * share.stride + k] = k < share.columns ? value(sequences[row], k) : 0.0f;
  }
}

// A thread's place in a product of 16 units with 32 sequences: of its four sequences it finishes the two from
// `finished` on.
struct Place {
  int part = thread_number() / half, number = thread_number() % half;
  int unit = number % tile_units, first = number / tile_units * 4, finished = first + 2 * part;
};

// sums[i][gate]: of sequence finished + i, the product of its row with row `unit` of each gate's weights.
// Threads whose sequences have no more than `step` rows only wait.
template <int gates>
__device__ void multiply(const Share& share, const Memory<gates>& memory, const Place& place, int group,
                         int step, float (&sums)[2][gates]) {
  float all[4][gates] = {};
  if (memory.sequences[place.first].length > step) {
    const int columns = padded(share.columns) / 2, begin = place.part * columns;
    int rows[4];  // beyond the last sequence with a row, that of the first once more
    for (int i = 0; i < 4; ++i)
      rows[i] = memory.sequences[place.first + i].length > step ? place.first + i : place.first;
    for (int k = begin; k < begin + columns; k += 4) {
      Vector<float, 4> values[4];
      for (int i = 0; i < 4; ++i) values[i] = load_vector<4>(memory.tile + rows[i] * share.stride + k);
      for (int gate = 0; gate < gates; ++gate) {
        const int row = gate * share.units + group * tile_units + place.unit;
        const auto weight = load_vector<4>(memory.weight + row * share.stride + k);
        for (int i = 0; i < 4; ++i)
          for (int j = 0; j < 4; ++j) all[i][gate] += weight[j] * values[i][j];
      }
    }
  }
  float* exchange = memory.exchange + place.number;
  for (int i = 0; i < 2; ++i)
    for (int gate = 0; gate < gates; ++gate)
      exchange[((place.part * 2 + i) * gates + gate) * half] =
          place.part == 0 ? all[2 + i][gate] : all[i][gate];
  sync_threads();
  for (int i = 0; i < 2; ++i)
    for (int gate = 0; gate < gates; ++gate)
      sums[i][gate] = (place.part == 0 ? all[i][gate] : all[2 + i][gate]) +
                      exchange[(((1 - place.part) * 2 + i) * gates + gate) * half];
}

// Calls finish(sequence, its number in the slice, unit, sums) for the block's units of the slice's sequences
// that have more than `step` rows. The products are those with the rows that value(sequence, k) gives,
// of sequences with more than `product_step` rows; 0 for the others.
template <int gates, class T, class Value, class Finish>
__device__ void make_step(const Layer<T>& layer, const Share& share, const Memory<gates>& memory, int step,
                          int product_step, const Value& value, const Finish& finish) {
  const Place place;
  for (int first = 0;; first += tile_sequences) {
    load_sequences(layer, share, first, memory.sequences);
    sync_threads();
    if (memory.sequences[0].length <= step) break;
    load_tile(share, memory.sequences, product_step, memory.tile, value);
    sync_threads();
    for (int group = 0; group * tile_units < share.units; ++group) {
      float sums[2][gates];
      multiply(share, memory, place, group, product_step, sums);
      const int unit = share.first_unit + group * tile_units + place.unit;
      for (int i = 0; i < 2; ++i)
        if (const DeviceSequence& sequence = memory.sequences[place.finished + i];
            sequence.length > step && unit < layer.hidden)
          finish(sequence, first + place.finished + i, unit, sums[i]);
      sync_threads();
    }
  }
}

// Where the number stands that a unit of a sequence carries from step to step.
template <class T>
__device__ int64_t carried_index(const Layer<T>& layer, const Share& share, int number, int unit) {
  return layer.last_state(share.slice + number * share.slices, share.direction) + unit;
}

template <class T>
__global__ void __launch_bounds__(threads) forward(Layer<T> layer, float* states, int units) {
  const int h = layer.hidden;
  const Share share(units, h);
  const Memory<3> memory(share);
  const int d = share.direction;
  load_weights(share, 3 * units, memory.weight, [&](int row, int k) {
    const int unit = share.first_unit + row % units;
    return unit < h ? to_float(layer.weight_of(d)[(int64_t{row / units} * h + unit) * h + k]) : 0.0f;
  });
  for (int place = share.slice; place < layer.batch; place += share.slices)
    if (const DeviceSequence sequence = layer.sequences[place]; sequence.length == 0)
      for (int i = thread_number(); i < units && share.first_unit + i < h; i += threads)
        layer.h_n[layer.last_state(sequence.index, d) + share.first_unit + i] = from_float<T>(0);

  const int steps = layer.sequences[0].length;
  for (int step = 0; step < steps; ++step) {
    make_step<3>(
        layer, share, memory, step, step == 0 ? steps : step,  // there is no state before the first step
        [&](const DeviceSequence& sequence, int k) {
          return to_float(layer.y[layer.state(sequence.row(step - 1, d == 1), d) + k]);
        },
        [&](const DeviceSequence& sequence, int number, int unit, const float* sums) {
          float* state = states + carried_index(layer, share, number, unit);
          *state = gru::step_forward(layer, sequence, d, step, unit, {sums[0], sums[1], sums[2]},
                                     step > 0 ? *state : 0.0f);
        });
    sync_grid();
  }
}

template <class T>
__global__ void __launch_bounds__(threads) backward(GradientLayer<T> layer, float* states, int units) {
  const int h = layer.hidden;
  const Share share(units, 3 * h);
  const Memory<1> memory(share);
  const int d = share.direction;
  load_weights(share, units, memory.weight, [&](int row, int k) {
    const int unit = share.first_unit + row;
    return unit < h ? to_float(layer.weight_of(d)[int64_t{k} * h + unit]) : 0.0f;
  });
  const gru::GradientColumns at = gru::gradient_columns(h, d);
  for (int step = layer.sequences[0].length - 1; step >= 0; --step) {
    make_step<1>(
        layer, share, memory, step, step + 1,
        [&](const DeviceSequence& sequence, int k) {
          const T* dgates = layer.dgates_of(sequence.row(step + 1, d == 1));
          return to_float(dgates[k < 2 * h ? at.r + k : at.hn + k - 2 * h]);
        },
        [&](const DeviceSequence& sequence, int number, int unit, const float* sums) {
          float* state = states + carried_index(layer, share, number, unit);
          const float dh = step < sequence.length - 1 ? *state + sums[0] : 0.0f;
          *state = gru::step_backward(layer, sequence, d, step, unit, dh);
        });
    sync_grid();
  }
}

// How a layer is cut into blocks that can all run together; none if units is 0.
struct Cut {
  int units = 0;
  int64_t groups = 0, slices = 0;
  size_t shared_bytes = 0;
};
template <int gates, class Args, class Kernel>
Cut cut(const Args& a, int columns, Kernel* kernel) {
  for (int units = tile_units; units < a.hidden_size + tile_units; units += tile_units) {
    const size_t bytes = Memory<gates>::bytes(units, columns);
    const int64_t most = bytes <= most_shared_bytes ? most_cooperative_blocks(kernel, threads, bytes) : 0;
    if (most == 0) break;
    const int64_t groups = ceil_div(a.hidden_size, units);
    if (groups * a.directions > most) continue;
    const int64_t wanted = ceil_div(gru::sequence_count(a.cu_seqlens), tile_sequences);
    return {units, groups, std::min(most / (groups * a.directions), wanted), bytes};
  }
  return {};
}

Cut cut(const GruSequence::Args& a) {
  return a.x.dtype == DType::bf16 ? cut<3>(a, a.hidden_size, forward<bf16>)
                                  : cut<3>(a, a.hidden_size, forward<float>);
}
Cut cut(const GruSequenceBackward::Args& a) {
  return a.x.dtype == DType::bf16 ? cut<1>(a, 3 * a.hidden_size, backward<bf16>)
                                  : cut<1>(a, 3 * a.hidden_size, backward<float>);
}

template <class Args>
std::string supports(const Args& a) {
  if (const std::string why = gru::knows_max_seqlen(a); !why.empty()) return why;
  return cut(a).units > 0 ? ""
                          : str("the shared memory of all blocks that run together does not hold W_hh of ",
                                a.hidden_size, " units");
}

template <class Args>
LaunchConfig config(const Args& a, const Cut& cut, Here here = Here::current()) {
  return {.grid = {cut.groups, cut.slices, a.directions},
          .block = threads,
          .shared_bytes = cut.shared_bytes,
          .cooperative = true,
          .where = here};
}

void run(const GruSequence::Args& a, Stream& stream) {
  const gru::ProjectedInput projected(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a)), states(kernel_device, gru::state_bytes(a));
  const Cut cut = tenon::cut(a);
  projected.compute(a, stream);
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config(a, cut), forward<T>, gru::layer_of<T>(a, sequences, projected), states.as<float>(),
           cut.units);
  });
}

void run_backward(const GruSequenceBackward::Args& a, Stream& stream) {
  const gru::GateGradients gradients(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a)), states(kernel_device, gru::state_bytes(a));
  const Cut cut = tenon::cut(a);
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    launch(stream, config(a, cut), backward<T>, gru::layer_of<T>(a, sequences, gradients), states.as<float>(),
           cut.units);
  });
  gradients.finish(a, stream);
}

size_t workspace(const GruSequence::Args& a) {
  return gru::ProjectedInput::bytes(a) + gru::sequences_bytes(a) + gru::state_bytes(a);
}
size_t workspace_backward(const GruSequenceBackward::Args& a) {
  return gru::GateGradients::bytes(a) + gru::sequences_bytes(a) + gru::state_bytes(a);
}

const Register<GruSequence> registered{{.name = "persistent",
                                        .device = kernel_device,
                                        .priority = 10,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .workspace = workspace,
                                        .supports = supports<GruSequence::Args>,
                                        .run = run}};
const Register<GruSequenceBackward> registered_backward{{.name = "persistent",
                                                         .device = kernel_device,
                                                         .priority = 10,
                                                         .dtypes = {DType::f32, DType::bf16},
                                                         .workspace = workspace_backward,
                                                         .supports = supports<GruSequenceBackward::Args>,
                                                         .run = run_backward}};

}  // namespace
}  // namespace tenon
