// What the matrix products of a GPU share: their arguments as a kernel takes them, and the end of a sum.
#pragma once
#include "kernels/elementwise/device_math.h"
#include "kernels/gelu/formula.h"
#include "kernels/matmul/matmul.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// Element (i, k) of op(a) is a[i * a_row + k * a_k], element (k, j) of op(b) is b[k * b_k + j * b_column]; of
// either pair of strides one is 1.
template <class T>
struct MatmulFactors {
  const T *a, *b;
  int64_t a_row, a_k, b_k, b_column;
  int64_t k;

  explicit MatmulFactors(const Matmul::Args& args)
      : a(args.a.as<T>()),
        b(args.b.as<T>()),
        a_row(args.transpose_a ? 1 : args.a.stride[0]),
        a_k(args.transpose_a ? args.a.stride[0] : 1),
        b_k(args.transpose_b ? 1 : args.b.stride[0]),
        b_column(args.transpose_b ? args.b.stride[0] : 1),
        k(Matmul::sizes(args).k) {}
};

// Whether every row of these starts at a multiple of 16 bytes; an absent view does not count.
inline bool has_aligned_rows(std::initializer_list<const TensorView*> views) {
  for (const TensorView* view : views) {
    const auto bytes = static_cast<uintptr_t>(view->stride[0]) * size_of(view->dtype);
    if (view->rank == 2 && (reinterpret_cast<uintptr_t>(view->data) | bytes) % 16 != 0) return false;
    if (view->rank == 1 && reinterpret_cast<uintptr_t>(view->data) % 16 != 0) return false;
  }
  return true;
}

template <class T>
struct MatmulOutput {
  T* y;
  const T *bias, *residual;  // bias, residual and pre_activation may be null
  T* pre_activation;
  int64_t y_stride, residual_stride, pre_activation_stride;
  int64_t rows, columns;
  float beta;
  Epilogue epilogue;
  bool vectors;  // rows are aligned to 16 bytes

  explicit MatmulOutput(const Matmul::Args& a)
      : y(a.y.as<T>()),
        bias(takes_bias(a.epilogue) ? a.bias.as<T>() : nullptr),
        residual(a.residual.as<T>()),
        pre_activation(a.pre_activation.as<T>()),
        y_stride(a.y.stride[0]),
        residual_stride(a.residual.stride[0]),
        pre_activation_stride(a.pre_activation.stride[0]),
        rows(a.y.shape[0]),
        columns(a.y.shape[1]),
        beta(static_cast<float>(a.beta)),
        epilogue(a.epilogue),
        vectors(has_aligned_rows({&a.y, &a.residual, &a.pre_activation}) &&
                (!bias || has_aligned_rows({&a.bias}))) {}
};

// z = activation(z), or z times the derivative at pre_activation.
template <int count>
__device__ void activate(float (&z)[count], const float (&pre_activation)[count], Epilogue epilogue) {
  const bool tanh_form = epilogue == Epilogue::bias_gelu_tanh || epilogue == Epilogue::dgelu_tanh;
  switch (epilogue) {
    case Epilogue::none:
    case Epilogue::bias:
      return;
    case Epilogue::bias_gelu:
    case Epilogue::bias_gelu_tanh:
      for (float& x : z) x = gelu::value<DeviceMath>(x, tanh_form);
      return;
    case Epilogue::bias_relu:
      for (float& x : z) x = x > 0 ? x : 0;
      return;
    case Epilogue::bias_tanh:
      for (float& x : z) x = DeviceMath::tanh(x);
      return;
    case Epilogue::dgelu:
    case Epilogue::dgelu_tanh:
      for (int i = 0; i < count; ++i) z[i] *= gelu::derivative<DeviceMath>(pre_activation[i], tanh_form);
  }
}

// `count` <= width elements that lie side by side, as one access if they are a whole vector.
template <int width, class T>
__device__ void read_elements(const T* source, int count, bool whole, float (&values)[width]) {
  if (whole) {
    const auto vector = load_vector<width>(source);
    for (int i = 0; i < width; ++i) values[i] = to_float(vector[i]);
  } else {
    for (int i = 0; i < width; ++i) values[i] = i < count ? to_float(source[i]) : 0.0f;
  }
}

template <int width, class T>
__device__ void write_elements(T* target, int count, bool whole, const float (&values)[width]) {
  if (whole) {
    Vector<T, width> vector;
    for (int i = 0; i < width; ++i) vector[i] = from_float<T>(values[i]);
    store_vector(target, vector);
  } else {
    for (int i = 0; i < width; ++i)
      if (i < count) target[i] = from_float<T>(values[i]);
  }
}

// Everything that follows the sums z of the elements (row, column), (row, column + 1), ...; those beyond the
// matrix are passed over. column is a multiple of width.
template <int width, class T>
__device__ void finish(const MatmulOutput<T>& out, int64_t row, int64_t column, float (&z)[width]) {
  if (row >= out.rows || column >= out.columns) return;
  const int count = out.columns - column < width ? static_cast<int>(out.columns - column) : width;
  const bool whole = out.vectors && count == width;
  T* y = out.y + row * out.y_stride + column;
  float operand[width] = {};
  if (out.beta != 0) {
    read_elements(y, count, whole, operand);
    for (int i = 0; i < width; ++i) z[i] += out.beta * operand[i];
  }
  if (out.bias) {
    read_elements(out.bias + column, count, whole, operand);
    for (int i = 0; i < width; ++i) z[i] += operand[i];
  }
  if (out.pre_activation) {
    T* kept = out.pre_activation + row * out.pre_activation_stride + column;
    if (is_gradient(out.epilogue))
      read_elements(kept, count, whole, operand);
    else
      write_elements(kept, count, whole, z);
  }
  activate(z, operand, out.epilogue);
  if (out.residual) {
    read_elements(out.residual + row * out.residual_stride + column, count, whole, operand);
    for (int i = 0; i < width; ++i) z[i] += operand[i];
  }
  write_elements(y, count, whole, z);
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
