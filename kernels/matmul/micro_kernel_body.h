// The micro-kernel and the epilogue, written once for any vector type. Everything is in an anonymous
// namespace on purpose (see vector_math.h); one file for each instruction set includes it.
#pragma once
#include <utility>

#include "kernels/cpu/vector_math.h"
#include "kernels/matmul/micro_kernel.h"

namespace tenon {
namespace {

// sum + a b; where V is one of pairs, of both elements of a pair.
template <class V>
typename V::Register multiply_add(typename V::Register a, typename V::Register b, typename V::Register sum) {
  if constexpr (requires { V::pair_dot(a, b, sum); })
    return V::pair_dot(a, b, sum);
  else
    return V::fma(a, b, sum);
}

// acc(Rows, Vectors * width), one register each, summed over k; then y.
template <class V, int Rows, int Vectors>
void multiply_tile(const Tile& t, const float* b, float* y, int columns) {
  constexpr int line = Vectors * V::width;
  typename V::Register acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) acc[i][j] = V::zero();
  const float* a = t.a;
  const float* next = t.next_b;
  for (int64_t k = 0, row = 0; k < t.k; ++row) {
    // A few cache lines at a time: more would take all the buffers that loads from L2 need, too.
    const float* wanted = y + (row < Rows ? row : Rows - 1) * t.y_stride;
    __builtin_prefetch(wanted, 1), __builtin_prefetch(wanted + line - 1, 1);
    for (int i = 0; i < t.next_lines; ++i, next += 16) __builtin_prefetch(next, 0, 2);  // into L2
    const int64_t end = t.k - k < prefetch_steps ? t.k : k + prefetch_steps;
    for (; k < end; ++k, a += Rows, b += panel_columns) {
      typename V::Register columns_of_b[Vectors];
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) columns_of_b[j] = V::load(b + j * V::width);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const auto value = V::broadcast(a[i]);
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; ++j) acc[i][j] = multiply_add<V>(value, columns_of_b[j], acc[i][j]);
      }
    }
  }
  const auto beta = V::broadcast(t.beta);
  const bool read = t.beta != 0;
#pragma GCC unroll 4
  for (int j = 0; j < Vectors; ++j) {
    const auto mask = V::first(columns - j * V::width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      float* target = y + i * t.y_stride + j * V::width;
      if (read) acc[i][j] = V::fma(beta, V::load(target, mask), acc[i][j]);
      V::store(target, mask, acc[i][j]);
    }
  }
}

template <class V, int Rows, int Vectors>
void multiply_rows(const Tile& t) {
  for (int column = 0; column < t.columns; column += Vectors * V::width)
    multiply_tile<V, Rows, Vectors>(t, t.b + column, t.y + column, t.columns - column);
}

template <class V, int Vectors, int... Rows>
void multiply_any(const Tile& t, std::integer_sequence<int, Rows...>) {
  static constexpr void (*by_rows[])(const Tile&) = {multiply_rows<V, Rows + 1, Vectors>...};
  by_rows[t.rows - 1](t);
}

template <class V, int MaxRows, int Vectors>
void multiply(const Tile& t) {
  multiply_any<V, Vectors>(t, std::make_integer_sequence<int, MaxRows>());
}

template <class V, Epilogue Kind>
typename V::Register activate(typename V::Register x, typename V::Register pre_activation) {
  if constexpr (Kind == Epilogue::bias_gelu) return gelu<V>(x);
  if constexpr (Kind == Epilogue::bias_gelu_tanh) return gelu_tanh<V>(x);
  if constexpr (Kind == Epilogue::bias_relu) return V::max(V::zero(), x);
  if constexpr (Kind == Epilogue::bias_tanh) return tanh<V>(x);
  if constexpr (Kind == Epilogue::dgelu) return x * gelu_derivative<V>(pre_activation);
  if constexpr (Kind == Epilogue::dgelu_tanh) return x * gelu_tanh_derivative<V>(pre_activation);
  return x;
}

// y = what the epilogue makes of the tile's sums and, in the narrow types, of beta * y. In fp32 y is the
// tile.
template <class V, Epilogue Kind, class T>
void finish_as(const Tile& t, const TileEpilogue<T>& e, float beta, T* y, int64_t y_stride) {
  for (int column = 0; column < t.columns; column += V::width) {
    const auto mask = V::first(t.columns - column);
    const auto bias = e.bias ? V::load(e.bias + column, mask) : V::zero();
    for (int i = 0; i < t.rows; ++i) {
      T* target = y + i * y_stride + column;
      auto x = V::load(t.y + i * t.y_stride + column, mask);
      if (beta != 0) x = V::fma(V::broadcast(beta), V::load(target, mask), x);
      if (e.bias) x = x + bias;
      auto pre_activation = x;
      if (T* kept = e.pre_activation) {
        kept += i * e.pre_activation_stride + column;
        if constexpr (is_gradient(Kind))
          pre_activation = V::load(kept, mask);
        else
          V::store(kept, mask, x);
      }
      x = activate<V, Kind>(x, pre_activation);
      if (e.residual) x = x + V::load(e.residual + i * e.residual_stride + column, mask);
      V::store(target, mask, x);
    }
  }
}

template <class V, class T>
void finish_any(const Tile& t, const TileEpilogue<T>& e, float beta, T* y, int64_t y_stride) {
  switch (e.kind) {
    case Epilogue::none:
    case Epilogue::bias:
      return finish_as<V, Epilogue::bias>(t, e, beta, y, y_stride);
    case Epilogue::bias_gelu:
      return finish_as<V, Epilogue::bias_gelu>(t, e, beta, y, y_stride);
    case Epilogue::bias_gelu_tanh:
      return finish_as<V, Epilogue::bias_gelu_tanh>(t, e, beta, y, y_stride);
    case Epilogue::bias_relu:
      return finish_as<V, Epilogue::bias_relu>(t, e, beta, y, y_stride);
    case Epilogue::bias_tanh:
      return finish_as<V, Epilogue::bias_tanh>(t, e, beta, y, y_stride);
    case Epilogue::dgelu:
      return finish_as<V, Epilogue::dgelu>(t, e, beta, y, y_stride);
    case Epilogue::dgelu_tanh:
      return finish_as<V, Epilogue::dgelu_tanh>(t, e, beta, y, y_stride);
  }
}

template <class V>
void finish(const Tile& t, const TileEpilogue<float>& e) {
  finish_any<V, float>(t, e, 0, t.y, t.y_stride);
}

// out(k, rows) = a(k, rows) without its stride.
template <class V>
void copy_rows(const float* a, int64_t a_stride, int rows, int64_t k, float* out) {
  for (int64_t j = 0; j < k; ++j, a += a_stride, out += rows)
    for (int i = 0; i < rows; i += V::width) {
      const auto mask = V::first(rows - i);
      V::store(out + i, mask, V::load(a + i, mask));
    }
}

}  // namespace
}  // namespace tenon
