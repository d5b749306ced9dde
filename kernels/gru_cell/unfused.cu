// The GRU cell, plainly: a launch for each step of its formula, one element a thread, with what lies between
// in fp32 in memory. Bound by memory bandwidth, which it needs several times over, and for the few rows of a
// step by the latency of three launches, or six.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/gru/standard_math.h"
#include "kernels/gru_cell/gru_cell.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

using gru::StandardMath;

// Calls body(row, unit, element) where this thread has one.
template <class Body>
__device__ void at_own_unit(int64_t rows, int64_t h, const Body& body) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < rows * h) body(i / h, i % h, i);
}

// r and z for the two gates from x and h, which stand `gate` blocks into their rows.
template <class T>
__global__ void open_gate(const T* x, const T* hidden, int gate, int64_t rows, int64_t h, float* y) {
  at_own_unit(rows, h, [&](int64_t row, int64_t j, int64_t i) {
    const int64_t place = (row * 3 + gate) * h + j;
    y[i] = StandardMath::sigmoid(to_float(x[place]) + to_float(hidden[place]));
  });
}

template <class T>
__global__ void propose_state(const T* x, const T* hidden, const float* r, int64_t rows, int64_t h,
                              float* n) {
  at_own_unit(rows, h, [&](int64_t row, int64_t j, int64_t i) {
    const int64_t place = (row * 3 + 2) * h + j;
    n[i] = StandardMath::tanh(to_float(x[place]) + r[i] * to_float(hidden[place]));
  });
}

template <class T>
__global__ void blend(const float* z, const float* n, const T* state, int64_t size, T* next) {
  at_own_unit(1, size, [&](int64_t, int64_t, int64_t i) {
    next[i] = from_float<T>(n[i] + z[i] * (to_float(state[i]) - n[i]));
  });
}

template <class T>
__global__ void backward_of_blend(const T* dnext, const float* z, const float* n, const T* state,
                                  int64_t size, float* dz, float* dn, T* dstate) {
  at_own_unit(1, size, [&](int64_t, int64_t, int64_t i) {
    const float d = to_float(dnext[i]);
    dz[i] = d * (to_float(state[i]) - n[i]);
    dn[i] = d * (1 - z[i]);
    dstate[i] = from_float<T>(d * z[i]);
  });
}

// dr is the gradient of r, which the state's own term of n contains.
template <class T>
__global__ void backward_of_proposal(const float* dn, const float* n, const float* r, const T* hidden,
                                     int64_t rows, int64_t h, T* dx, T* dhidden, float* dr) {
  at_own_unit(rows, h, [&](int64_t row, int64_t j, int64_t i) {
    const int64_t place = (row * 3 + 2) * h + j;
    const float d = dn[i] * (1 - n[i] * n[i]);
    dx[place] = from_float<T>(d);
    dhidden[place] = from_float<T>(d * r[i]);
    dr[i] = d * to_float(hidden[place]);
  });
}

template <class T>
__global__ void backward_of_gate(const float* dgate, const float* value, int gate, int64_t rows, int64_t h,
                                 T* dx, T* dhidden) {
  at_own_unit(rows, h, [&](int64_t row, int64_t j, int64_t i) {
    const int64_t place = (row * 3 + gate) * h + j;
    dx[place] = dhidden[place] = from_float<T>(dgate[i] * value[i] * (1 - value[i]));
  });
}

LaunchConfig config(const TensorView& h, Here here = Here::current()) {
  return {.grid = ceil_div(h.size(), threads), .block = threads, .where = here};
}

// r, z and n, (B, H) each, into memory of three times their size.
template <class T, class Args>
void launch_gates(const Args& a, float* gates, Stream& stream) {
  const int64_t rows = a.h.shape[0], h = a.h.shape[1];
  const T *x = a.x_gates.template as<T>(), *hidden = a.h_gates.template as<T>();
  for (int gate : {0, 1})
    launch(stream, config(a.h), open_gate<T>, x, hidden, gate, rows, h, gates + gate * rows * h);
  launch(stream, config(a.h), propose_state<T>, x, hidden, gates, rows, h, gates + 2 * rows * h);
}

size_t workspace(const GruCell::Args& a) { return 3 * static_cast<size_t>(a.h.size()) * sizeof(float); }

void run(const GruCell::Args& a, Stream& stream) {
  const int64_t size = a.h.size();
  const Buffer scratch(kernel_device, workspace(a));
  auto* gates = scratch.as<float>();
  dispatch<float, bf16>(a.h.dtype, [&]<class T>() {
    launch_gates<T>(a, gates, stream);
    launch(stream, config(a.h), blend<T>, gates + size, gates + 2 * size, a.h.as<T>(), size,
           a.h_next.as<T>());
  });
}

size_t workspace_backward(const GruCellBackward::Args& a) {
  return 6 * static_cast<size_t>(a.h.size()) * sizeof(float);
}

void run_backward(const GruCellBackward::Args& a, Stream& stream) {
  const int64_t rows = a.h.shape[0], h = a.h.shape[1], size = a.h.size();
  const Buffer scratch(kernel_device, workspace_backward(a));
  float *r = scratch.as<float>(), *z = r + size, *n = z + size, *dr = n + size, *dz = dr + size,
        *dn = dz + size;
  dispatch<float, bf16>(a.h.dtype, [&]<class T>() {
    T *dx = a.dx_gates.as<T>(), *dhidden = a.dh_gates.as<T>();
    launch_gates<T>(a, r, stream);
    launch(stream, config(a.h), backward_of_blend<T>, a.dh_next.as<T>(), z, n, a.h.as<T>(), size, dz, dn,
           a.dh.as<T>());
    launch(stream, config(a.h), backward_of_proposal<T>, dn, n, r, a.h_gates.as<T>(), rows, h, dx, dhidden,
           dr);
    launch(stream, config(a.h), backward_of_gate<T>, dr, r, 0, rows, h, dx, dhidden);
    launch(stream, config(a.h), backward_of_gate<T>, dz, z, 1, rows, h, dx, dhidden);
  });
}

const Register<GruCell> registered{{.name = "unfused",
                                    .device = kernel_device,
                                    .dtypes = {DType::f32, DType::bf16},
                                    .workspace = workspace,
                                    .run = run}};
const Register<GruCellBackward> registered_backward{{.name = "unfused",
                                                     .device = kernel_device,
                                                     .dtypes = {DType::f32, DType::bf16},
                                                     .workspace = workspace_backward,
                                                     .run = run_backward}};

}  // namespace
}  // namespace tenon
