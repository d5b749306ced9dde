// The GRU with one kernel a step, for both directions. A block makes 16 units of 32 sequences: it multiplies
// their states with the rows of W_hh by tiles of 32 columns in shared memory, a thread the three gates of one
// unit for two sequences, and puts the cell on top. The backward goes the same way from the last step to the
// first, its product with the columns of W_hh. Products of the input, and gradients of weights, are large
// ones over all rows. A block whose sequences have all ended returns at once.
//
// Bound by the launch (about 3 us) and by W_hh, which every block of sequences reads from L2 in each step: at
// H = 256, B = 128, both directions, fp32 12.6 MB, another 3 us by arithmetic; no GPU has confirmed it.
#include "kernels/base/registry.h"
#include "kernels/gru/device_products.h"

namespace tenon {
namespace {

using gru::DeviceSequence;
using gru::GradientLayer;
using gru::Layer;

constexpr int threads = 256, tile_units = 16, tile_sequences = 32, depth = 32;
constexpr int pad = 4;  // rows of a tile start in different banks and stay aligned for vectors

// The place of a thread: a unit, and two sequences of the tile.
struct Place {
  int direction = static_cast<int>(blockIdx.z),
      first_sequence = static_cast<int>(blockIdx.y) * tile_sequences;
  int tile_unit = thread_number() % tile_units, first = thread_number() / tile_units * 2;
  int first_unit = static_cast<int>(blockIdx.x) * tile_units, unit = first_unit + tile_unit;
};

// The tile's sequences; those beyond the batch have no row.
template <class T>
__device__ void load_sequences(const Layer<T>& layer, int first,
                               DeviceSequence (&sequences)[tile_sequences]) {
  const int i = thread_number();
  if (i < tile_sequences)
    sequences[i] = first + i < layer.batch ? layer.sequences[first + i] : DeviceSequence{};
  sync_threads();
}

// Where the number stands that a unit of a sequence carries from step to step.
template <class T>
__device__ int64_t carried_index(const Layer<T>& layer, const Place& place, int sequence) {
  return (int64_t{place.direction} * layer.batch + place.first_sequence + sequence) * layer.hidden +
         place.unit;
}

struct ForwardSmem {
  float weight[3][tile_units][depth + pad];
  float state[tile_sequences][depth + pad];
  DeviceSequence sequences[tile_sequences];
};

// Columns [k, k + depth) of the tile's rows of W_hh, and of its states after the step before.
template <class T>
__device__ void load_tiles(const Layer<T>& layer, const Place& place, int step, int k, ForwardSmem& smem) {
  const int hidden = layer.hidden;
  for (int i = thread_number(); i < 3 * tile_units * depth; i += threads) {
    const int gate = i / (tile_units * depth), unit = i / depth % tile_units, column = i % depth;
    const bool is_inside = place.first_unit + unit < hidden && k + column < hidden;
    const int64_t row = int64_t{gate} * hidden + place.first_unit + unit;
    smem.weight[gate][unit][column] =
        is_inside ? to_float(layer.weight_of(place.direction)[row * hidden + k + column]) : 0.0f;
  }
  for (int i = thread_number(); i < tile_sequences * depth; i += threads) {
    const DeviceSequence& sequence = smem.sequences[i / depth];
    const int column = i % depth;
    float value = 0;
    if (sequence.length > step && k + column < hidden) {
      const int row = sequence.row(step - 1, place.direction == 1);
      value = to_float(layer.y[layer.state(row, place.direction) + k + column]);
    }
    smem.state[i / depth][column] = value;
  }
}

// The state's part of a unit's gates for two sequences.
template <class T>
__device__ void project_states(const Layer<T>& layer, const Place& place, int step, ForwardSmem& smem,
                               float (&sums)[2][3]) {
  for (int k = 0; k < layer.hidden; k += depth) {
    load_tiles(layer, place, step, k, smem);
    sync_threads();
    if (smem.sequences[place.first].length > step)
      for (int column = 0; column < depth; column += 4) {
        const auto first = load_vector<4>(&smem.state[place.first][column]);
        const auto second = load_vector<4>(&smem.state[place.first + 1][column]);
        for (int gate = 0; gate < 3; ++gate) {
          const auto weight = load_vector<4>(&smem.weight[gate][place.tile_unit][column]);
          for (int i = 0; i < 4; ++i) {
            sums[0][gate] += weight[i] * first[i];
            sums[1][gate] += weight[i] * second[i];
          }
        }
      }
    sync_threads();
  }
}

template <class T>
__global__ void __launch_bounds__(threads) forward_step(Layer<T> layer, float* states, int step) {
  auto& smem = shared<ForwardSmem>();
  const Place place;
  load_sequences(layer, place.first_sequence, smem.sequences);
  if (smem.sequences[0].length <= step) return;
  float sums[2][3] = {};
  if (step > 0) project_states(layer, place, step, smem, sums);
  if (place.unit >= layer.hidden) return;
  for (int i = 0; i < 2; ++i) {
    const DeviceSequence sequence = smem.sequences[place.first + i];
    if (sequence.length <= step) continue;
    float* state = states + carried_index(layer, place, place.first + i);
    *state = gru::step_forward(layer, sequence, place.direction, step, place.unit,
                               {sums[i][0], sums[i][1], sums[i][2]}, step > 0 ? *state : 0.0f);
  }
}

template <class T>
__global__ void __launch_bounds__(threads) clear(T* values, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) values[i] = from_float<T>(0);
}

struct BackwardSmem {
  float gradient[tile_sequences][depth + pad];
  float weight[depth][tile_units];
  DeviceSequence sequences[tile_sequences];
};

// Rows [k, k + depth) of the tile's columns of W_hh, and the gates' gradients of the step after.
template <class T>
__device__ void load_tiles(const GradientLayer<T>& layer, const Place& place, int step, int k,
                           BackwardSmem& smem) {
  const int hidden = layer.hidden;
  const gru::GradientColumns at = gru::gradient_columns(hidden, place.direction);
  for (int i = thread_number(); i < depth * tile_units; i += threads) {
    const int row = k + i / tile_units, unit = place.first_unit + i % tile_units;
    const bool is_inside = row < 3 * hidden && unit < hidden;
    smem.weight[i / tile_units][i % tile_units] =
        is_inside ? to_float(layer.weight_of(place.direction)[int64_t{row} * hidden + unit]) : 0.0f;
  }
  for (int i = thread_number(); i < tile_sequences * depth; i += threads) {
    const DeviceSequence& sequence = smem.sequences[i / depth];
    const int gate = k + i % depth;
    float value = 0;
    if (sequence.length > step + 1 && gate < 3 * hidden) {
      const T* dgates = layer.dgates_of(sequence.row(step + 1, place.direction == 1));
      value = to_float(dgates[gate < 2 * hidden ? at.r + gate : at.hn + gate - 2 * hidden]);
    }
    smem.gradient[i / depth][i % depth] = value;
  }
}

// What the gates of the step after add to the gradient of a unit's state, for two sequences.
template <class T>
__device__ void project_gradients(const GradientLayer<T>& layer, const Place& place, int step,
                                  BackwardSmem& smem, float (&sums)[2]) {
  for (int k = 0; k < 3 * layer.hidden; k += depth) {
    load_tiles(layer, place, step, k, smem);
    sync_threads();
    if (smem.sequences[place.first].length > step + 1)
      for (int row = 0; row < depth; row += 4) {
        const auto first = load_vector<4>(&smem.gradient[place.first][row]);
        const auto second = load_vector<4>(&smem.gradient[place.first + 1][row]);
        for (int i = 0; i < 4; ++i) {
          const float weight = smem.weight[row + i][place.tile_unit];
          sums[0] += weight * first[i];
          sums[1] += weight * second[i];
        }
      }
    sync_threads();
  }
}

template <class T>
__global__ void __launch_bounds__(threads) backward_step(GradientLayer<T> layer, float* states, int step) {
  auto& smem = shared<BackwardSmem>();
  const Place place;
  load_sequences(layer, place.first_sequence, smem.sequences);
  if (smem.sequences[0].length <= step) return;
  float sums[2] = {};
  if (smem.sequences[0].length > step + 1) project_gradients(layer, place, step, smem, sums);
  if (place.unit >= layer.hidden) return;
  for (int i = 0; i < 2; ++i) {
    const DeviceSequence sequence = smem.sequences[place.first + i];
    if (sequence.length <= step) continue;
    float* carried = states + carried_index(layer, place, place.first + i);
    const float dh = step < sequence.length - 1 ? *carried + sums[i] : 0.0f;
    *carried = gru::step_backward(layer, sequence, place.direction, step, place.unit, dh);
  }
}

template <class Args>
LaunchConfig config(const Args& a, size_t shared_bytes, Here here = Here::current()) {
  return {.grid = {ceil_div(a.hidden_size, tile_units),
                   ceil_div(gru::sequence_count(a.cu_seqlens), tile_sequences), a.directions},
          .block = threads,
          .shared_bytes = shared_bytes,
          .where = here};
}

void run(const GruSequence::Args& a, Stream& stream) {
  const gru::ProjectedInput projected(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a)), states(kernel_device, gru::state_bytes(a));
  projected.compute(a, stream);
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const auto layer = gru::layer_of<T>(a, sequences, projected);
    launch(stream, {.grid = ceil_div(a.h_n.size(), threads), .block = threads}, clear<T>, layer.h_n,
           a.h_n.size());
    for (int step = 0; step < a.max_seqlen; ++step)
      launch(stream, config(a, sizeof(ForwardSmem)), forward_step<T>, layer, states.as<float>(), step);
  });
}

void run_backward(const GruSequenceBackward::Args& a, Stream& stream) {
  const gru::GateGradients gradients(a);
  const Buffer sequences(kernel_device, gru::sequences_bytes(a)), states(kernel_device, gru::state_bytes(a));
  gru::sort_sequences(stream, a.cu_seqlens, sequences.as<DeviceSequence>());
  dispatch<float, bf16>(a.x.dtype, [&]<class T>() {
    const auto layer = gru::layer_of<T>(a, sequences, gradients);
    for (int step = a.max_seqlen - 1; step >= 0; --step)
      launch(stream, config(a, sizeof(BackwardSmem)), backward_step<T>, layer, states.as<float>(), step);
  });
  gradients.finish(a, stream);
}

size_t workspace(const GruSequence::Args& a) {
  return gru::ProjectedInput::bytes(a) + gru::sequences_bytes(a) + gru::state_bytes(a);
}
size_t workspace_backward(const GruSequenceBackward::Args& a) {
  return gru::GateGradients::bytes(a) + gru::sequences_bytes(a) + gru::state_bytes(a);
}

const Register<GruSequence> registered{{.name = "stepwise",
                                        .device = kernel_device,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .workspace = workspace,
                                        .supports = gru::knows_max_seqlen<GruSequence::Args>,
                                        .run = run}};
const Register<GruSequenceBackward> registered_backward{
    {.name = "stepwise",
     .device = kernel_device,
     .dtypes = {DType::f32, DType::bf16},
     .workspace = workspace_backward,
     .supports = gru::knows_max_seqlen<GruSequenceBackward::Args>,
     .run = run_backward}};

}  // namespace
}  // namespace tenon
