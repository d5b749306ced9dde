// One step of a gated recurrent unit and its derivative, for any floating type and any source of sigmoid and
// tanh. Gates in PyTorch's order r, z, n; `hn` is W_hn h + b_hn, which r multiplies (torch.nn.GRU, "reset
// after").
//   r = sigmoid(xr + hr)   z = sigmoid(xz + hz)   n = tanh(xn + r hn)   h' = (1 - z) n + z h
#pragma once

namespace tenon::gru {

template <class T>
struct Gates {
  T r, z, n, hn;
};

template <class T>
struct Preactivations {
  T r, z, n;
};

// Math offers sigmoid and tanh for T; x = W_i x + b_i, h = W_h h + b_h.
template <class Math, class T>
constexpr Gates<T> gates(Preactivations<T> x, Preactivations<T> h) {
  const T r = Math::sigmoid(x.r + h.r), z = Math::sigmoid(x.z + h.z);
  return {r, z, Math::tanh(x.n + r * h.n), h.n};
}

template <class T>
constexpr T next_state(Gates<T> g, T h) {
  return g.n + g.z * (h - g.n);
}

// With respect to x.r = h.r, x.z = h.z, x.n, h.n, and to h by the way that leads through no matrix.
template <class T>
struct Gradient {
  T r, z, n, hn, h;
};

template <class T>
constexpr Gradient<T> gradient(Gates<T> g, T h, T dh_next) {
  const T dz = dh_next * (h - g.n);
  const T dn = dh_next * (T(1) - g.z) * (T(1) - g.n * g.n);
  return {dn * g.hn * g.r * (T(1) - g.r), dz * g.z * (T(1) - g.z), dn, dn * g.r, dh_next * g.z};
}

}  // namespace tenon::gru
