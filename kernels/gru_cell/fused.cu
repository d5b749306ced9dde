// The GRU cell and its gradient in one launch each: a block a row, a thread four units at a time (16 bytes in
// fp32), or one where a row is not made of aligned fours. The gates never reach memory; the backward computes
// them again. Bound by memory bandwidth; for the few rows of one step by the latency of the launch.
#include "kernels/base/registry.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/standard_math.h"
#include "kernels/gru_cell/gru_cell.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 64;

template <class T>
struct Cell {
  const T *x, *hidden, *state;
  T* next;
  int64_t h;
};

template <class T>
struct CellGradient {
  const T *dnext, *x, *hidden, *state;
  T *dx, *dhidden, *dstate;
  int64_t h;
};

template <int width, class Body>
__device__ void for_each_unit(int64_t h, const Body& body) {
  for (int64_t j = thread_number() * width; j < h; j += threads * width) body(j);
}

// Of r, z and n, which stand h elements apart.
template <int width, class T>
struct GateVectors {
  Vector<T, width> r, z, n;

  GateVectors() = default;
  __device__ GateVectors(const T* gates, int64_t h)
      : r(load_vector<width>(gates)),
        z(load_vector<width>(gates + h)),
        n(load_vector<width>(gates + 2 * h)) {}
  __device__ gru::Preactivations<float> at(int i) const {
    return {to_float(r[i]), to_float(z[i]), to_float(n[i])};
  }
  __device__ void put(int i, float r_value, float z_value, float n_value) {
    r[i] = from_float<T>(r_value), z[i] = from_float<T>(z_value), n[i] = from_float<T>(n_value);
  }
  __device__ void store(T* gates, int64_t h) const {
    store_vector(gates, r);
    store_vector(gates + h, z);
    store_vector(gates + 2 * h, n);
  }
};

template <class T, int width>
__global__ void __launch_bounds__(threads) forward(Cell<T> cell) {
  const int64_t h = cell.h, row = int64_t{blockIdx.x} * h;
  for_each_unit<width>(h, [&](int64_t j) {
    const GateVectors<width, T> x(cell.x + 3 * row + j, h), hidden(cell.hidden + 3 * row + j, h);
    auto state = load_vector<width>(cell.state + row + j);
    for (int i = 0; i < width; ++i) {
      const auto gates = gru::gates<gru::StandardMath>(x.at(i), hidden.at(i));
      state[i] = from_float<T>(gru::next_state(gates, to_float(state[i])));
    }
    store_vector(cell.next + row + j, state);
  });
}

template <class T, int width>
__global__ void __launch_bounds__(threads) backward(CellGradient<T> cell) {
  const int64_t h = cell.h, row = int64_t{blockIdx.x} * h;
  for_each_unit<width>(h, [&](int64_t j) {
    const GateVectors<width, T> x(cell.x + 3 * row + j, h), hidden(cell.hidden + 3 * row + j, h);
    const auto state = load_vector<width>(cell.state + row + j);
    auto slopes = load_vector<width>(cell.dnext + row + j);
    GateVectors<width, T> dx, dhidden;
    for (int i = 0; i < width; ++i) {
      const auto gates = gru::gates<gru::StandardMath>(x.at(i), hidden.at(i));
      const auto d = gru::gradient(gates, to_float(state[i]), to_float(slopes[i]));
      dx.put(i, d.r, d.z, d.n);
      dhidden.put(i, d.r, d.z, d.hn);
      slopes[i] = from_float<T>(d.h);
    }
    dx.store(cell.dx + 3 * row + j, h);
    dhidden.store(cell.dhidden + 3 * row + j, h);
    store_vector(cell.dstate + row + j, slopes);
  });
}

// Calls body.template operator()<width>() with 4 where every row of all of them allows it.
template <class Body, class... Ts>
void dispatch_width(int64_t h, const Body& body, Ts*... rows) {
  const bool whole = h % 4 == 0 && ((reinterpret_cast<uintptr_t>(rows) % (4 * sizeof(Ts)) == 0) && ...);
  if (whole)
    body.template operator()<4>();
  else
    body.template operator()<1>();
}

void run(const GruCell::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.h.dtype, [&]<class T>() {
    const Cell<T> cell{a.x_gates.as<T>(), a.h_gates.as<T>(), a.h.as<T>(), a.h_next.as<T>(), a.h.shape[1]};
    const auto launch_width = [&]<int width>() {
      launch(stream, {.grid = a.h.shape[0], .block = threads}, forward<T, width>, cell);
    };
    dispatch_width(cell.h, launch_width, cell.x, cell.hidden, cell.state, cell.next);
  });
}

void run_backward(const GruCellBackward::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.h.dtype, [&]<class T>() {
    const CellGradient<T> cell{a.dh_next.as<T>(),  a.x_gates.as<T>(),  a.h_gates.as<T>(), a.h.as<T>(),
                               a.dx_gates.as<T>(), a.dh_gates.as<T>(), a.dh.as<T>(),      a.h.shape[1]};
    const auto launch_width = [&]<int width>() {
      launch(stream, {.grid = a.h.shape[0], .block = threads}, backward<T, width>, cell);
    };
    dispatch_width(cell.h, launch_width, cell.dnext, cell.x, cell.hidden, cell.state, cell.dx, cell.dhidden,
                   cell.dstate);
  });
}

const Register<GruCell> registered{{.name = "fused",
                                    .device = kernel_device,
                                    .priority = 10,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .run = run}};
const Register<GruCellBackward> registered_backward{{.name = "fused",
                                                     .device = kernel_device,
                                                     .priority = 10,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .run = run_backward}};

}  // namespace
}  // namespace tenon
