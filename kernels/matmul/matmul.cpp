// Cases, costs and the plain CPU variant of the matrix product: in f64 the reference, in f32 the yardstick.
#include "kernels/matmul/matmul.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/base/tf32.h"
#include "kernels/cpu/parallel.h"
#include "kernels/gelu/formula.h"
#include "kernels/gelu/standard_math.h"
#include "kernels/matmul/packed.h"

namespace tenon {
namespace {

template <class Sum>
Sum activate(Sum z, Epilogue epilogue, Sum pre_activation) {
  switch (epilogue) {
    case Epilogue::none:
    case Epilogue::bias:
      return z;
    case Epilogue::bias_gelu:
      return z * Sum(0.5) * std::erfc(-z * Sum(0.7071067811865476));
    case Epilogue::bias_gelu_tanh:
      return Sum(0.5) * z * (Sum(1) + std::tanh(Sum(0.7978845608028654) * (z + Sum(0.044715) * z * z * z)));
    case Epilogue::bias_relu:
      return z > Sum(0) ? z : Sum(0);
    case Epilogue::bias_tanh:
      return std::tanh(z);
    case Epilogue::dgelu:
    case Epilogue::dgelu_tanh:
      return z * gelu::derivative<gelu::StandardMath>(pre_activation, epilogue == Epilogue::dgelu_tanh);
  }
  return z;
}

// op(x) as (rows, columns), contiguous, in the type that sums are made in.
template <class T>
std::vector<accumulator<T>> wide(const TensorView& x, bool transpose, int64_t rows, int64_t columns,
                                 bool tf32) {
  std::vector<accumulator<T>> out(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      out[i * columns + j] = accumulator<T>(x.as<T>()[transpose ? j * x.stride[0] + i : i * x.stride[0] + j]);
  if constexpr (std::is_same_v<T, float>)
    if (tf32) std::transform(out.begin(), out.end(), out.begin(), round_to_tf32);
  return out;
}

template <class T>
void plain(const Matmul::Args& args) {
  using Sum = accumulator<T>;
  const auto [m, n, k] = Matmul::sizes(args);
  const auto a = wide<T>(args.a, args.transpose_a, m, k, args.tf32);
  const auto b = wide<T>(args.b, args.transpose_b, k, n, args.tf32);
  const auto row = [](const TensorView& x, int64_t i) {
    return x.defined() ? x.as<T>() + i * x.stride[0] : nullptr;
  };
  parallel(m, [&, n = n, k = k](int64_t i) {
    std::vector<Sum> z(static_cast<size_t>(n));
    T *y = row(args.y, i), *residual = row(args.residual, i), *kept = row(args.pre_activation, i);
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j) z[j] += a[i * k + p] * b[p * n + j];
    for (int64_t j = 0; j < n; ++j) {
      if (args.beta != 0) z[j] += Sum(args.beta) * Sum(y[j]);
      if (takes_bias(args.epilogue)) z[j] += Sum(args.bias.as<T>()[j]);
      if (kept && !is_gradient(args.epilogue)) kept[j] = T(z[j]);
      const Sum activated = activate(z[j], args.epilogue, kept ? Sum(kept[j]) : Sum(0));
      y[j] = T(residual ? activated + Sum(residual[j]) : activated);
    }
  });
}

const Register<Matmul> registered{{.name = "plain",
                                   .device = Device::cpu,
                                   .dtypes = {DType::f64, DType::f32, DType::bf16},
                                   .run = [](const Matmul::Args& a, Stream&) {
                                     dispatch<double, float, bf16>(a.y.dtype,
                                                                   [&]<class T>() { plain<T>(a); });
                                   }}};

struct Shape {
  int64_t m, n, k;
  bool large = false;
};

Matmul::Args make(DType dtype, Shape s, bool transpose_a = false, bool transpose_b = true,
                  Epilogue epilogue = Epilogue::none) {
  const auto matrix = [dtype](int64_t rows, int64_t columns, bool transposed = false) {
    return transposed ? TensorView(nullptr, dtype, {columns, rows})
                      : TensorView(nullptr, dtype, {rows, columns});
  };
  Matmul::Args args{.a = matrix(s.m, s.k, transpose_a),
                    .b = matrix(s.k, s.n, transpose_b),
                    .b_packed = {},
                    .bias = {},
                    .residual = {},
                    .y = matrix(s.m, s.n),
                    .pre_activation = {},
                    .transpose_a = transpose_a,
                    .transpose_b = transpose_b,
                    .epilogue = epilogue};
  if (takes_bias(epilogue)) args.bias = {nullptr, dtype, {s.n}};
  if (is_gradient(epilogue)) args.pre_activation = args.y;
  return args;
}

void scale(const TensorView& x, float factor) {
  dispatch<float, bf16>(x.dtype, [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) x.as<T>()[i] = T(float(x.as<T>()[i]) * factor);
  });
}

void add_epilogues(std::vector<Case<Matmul::Args>>& cases, DType dtype) {
  constexpr std::pair<std::string_view, Epilogue> epilogues[] = {
      {"bias", Epilogue::bias},
      {"bias + gelu", Epilogue::bias_gelu},
      {"bias + gelu tanh", Epilogue::bias_gelu_tanh},
      {"bias + relu", Epilogue::bias_relu},
      {"bias + tanh", Epilogue::bias_tanh},
      {"dgelu", Epilogue::dgelu},
      {"dgelu tanh", Epilogue::dgelu_tanh}};
  const Shape s{37, 67, 40};
  for (const auto& [name, epilogue] : epilogues) {
    Matmul::Args args = make(dtype, s, false, true, epilogue);
    cases.push_back({std::string(name), args});
    args.residual = args.pre_activation = args.y;
    args.residual.stride[0] = s.n + 5;
    args.pre_activation.stride[0] = s.n + 2;
    cases.push_back({str(name, is_gradient(epilogue) ? " + residual" : " + residual, kept"), args});
  }
}

// Ragged sizes, but every row starts at a multiple of 16 bytes, as vectors want it.
void add_aligned(std::vector<Case<Matmul::Args>>& cases, DType dtype, bool tf32) {
  const auto add = [&](Shape s, bool transpose_a, bool transpose_b, Epilogue epilogue) {
    Matmul::Args args = make(dtype, s, transpose_a, transpose_b, epilogue);
    args.tf32 = tf32;
    args.residual = args.y;
    for (TensorView* x : {&args.a, &args.b, &args.y, &args.residual, &args.pre_activation})
      x->stride[0] = (x->stride[0] + 7) / 8 * 8;
    cases.push_back({str(tf32 ? "tf32 " : "aligned ", s.m, "x", s.n, "x", s.k, " ", transpose_a ? "t" : "n",
                         transpose_b ? "t" : "n"),
                     args});
  };
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) add({70, 76, 75}, transpose_a, transpose_b, Epilogue::bias);
  add({66, 35, 9}, false, false, Epilogue::dgelu);
  add({1, 70, 133}, false, true, Epilogue::bias_gelu);
  add({24, 40, 550}, true, false, Epilogue::dgelu_tanh);
  add({8, 8, 0}, false, true, Epilogue::bias);
}

void add_special(std::vector<Case<Matmul::Args>>& cases, DType dtype) {
  const Shape s{33, 45, 70};
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      Matmul::Args args = make(dtype, s, transpose_a, transpose_b);
      args.a.stride[0] += 3, args.b.stride[0] += 1, args.y.stride[0] += 7;
      cases.push_back({str("rows apart, ", transpose_a ? "t" : "n", transpose_b ? "t" : "n"), args});
    }
  Matmul::Args args = make(dtype, {20, 40, 120}, true, false, Epilogue::bias);
  args.beta = 1;
  cases.push_back({"added to y", args});
  args.beta = -0.5;
  cases.push_back({"less half of y", args});
  cases.push_back(
      {"huge values", make(dtype, s), false, [](Matmul::Args& a) { scale(a.a, 1e17f), scale(a.b, 1e17f); }});
  cases.push_back({"huge values, gelu", make(dtype, s, false, true, Epilogue::bias_gelu), false,
                   [](Matmul::Args& a) { scale(a.a, 1e10f); }});
  args = make(dtype, {19, 100, 501}, false, true, Epilogue::bias_relu);
  args.b_packed = {nullptr, DType::u8, {static_cast<int64_t>(packed_bytes(501, 100, dtype))}};
  cases.push_back({"packed weights", args, false, [](Matmul::Args& a) {
                     dispatch<float, bf16>(a.b.dtype, [&]<class T>() {
                       pack_b(a.b.as<T>(), a.b.stride[0], true, 501, 100, a.b_packed.as<float>());
                     });
                   }});
}

}  // namespace

NamedViews Matmul::inputs(Args& a) {
  NamedViews views{
      {"a", &a.a}, {"b", &a.b}, {"b_packed", &a.b_packed}, {"bias", &a.bias}, {"residual", &a.residual}};
  if (a.beta != 0) views.push_back({"y", &a.y});
  if (is_gradient(a.epilogue)) views.push_back({"pre_activation", &a.pre_activation});
  return views;
}

NamedViews Matmul::outputs(Args& a) {
  NamedViews views{{"y", &a.y}};
  if (!is_gradient(a.epilogue)) views.push_back({"pre_activation", &a.pre_activation});
  return views;
}

Matmul::Sizes Matmul::sizes(const Args& a) {
  const Sizes s{a.y.shape[0], a.y.shape[1], a.a.shape[a.transpose_a ? 0 : 1]};
  const auto fits = [](const TensorView& x, int64_t rows, int64_t columns, bool transposed) {
    return x.rank == 2 && x.shape[transposed] == rows && x.shape[!transposed] == columns;
  };
  check(
      fits(a.y, s.m, s.n, false) && fits(a.a, s.m, s.k, a.transpose_a) && fits(a.b, s.k, s.n, a.transpose_b),
      "matmul: shapes do not fit: a ", a.a, a.transpose_a ? " transposed" : "", ", b ", a.b,
      a.transpose_b ? " transposed" : "", ", y ", a.y);
  check(!takes_bias(a.epilogue) || (a.bias.rank == 1 && a.bias.shape[0] == s.n),
        "matmul: the epilogue needs a bias of ", s.n, " elements, not ", a.bias);
  check(!is_gradient(a.epilogue) || a.pre_activation.defined(),
        "matmul: the gradient through an activation needs pre_activation");
  for (const TensorView* x : {&a.residual, &a.pre_activation})
    check(!x->defined() || fits(*x, s.m, s.n, false),
          "matmul: residual and pre_activation need the shape of y");
  return s;
}

std::vector<Case<Matmul::Args>> Matmul::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  constexpr Shape small[] = {{1, 1, 1},    {1, 1, 1023},  {1023, 1, 1},   {0, 5, 3},
                             {5, 0, 3},    {5, 3, 0},     {33, 17, 1},    {17, 33, 33},
                             {1, 768, 77}, {13, 31, 385}, {15, 257, 136}, {129, 36, 800}};
  for (const Shape& s : small) cases.push_back({str(s.m, "x", s.n, "x", s.k), make(dtype, s)});
  add_epilogues(cases, dtype);
  add_special(cases, dtype);
  add_aligned(cases, dtype, false);
  if (dtype == DType::f32) add_aligned(cases, dtype, true);
  constexpr Shape bert[] = {{1, 768, 768},     {128, 768, 768},  {1024, 2304, 768}, {1024, 768, 768},
                            {1024, 768, 3072}, {4096, 768, 768}, {4096, 768, 3072}};
  for (const Shape& s : bert)
    cases.push_back(
        {str("linear ", s.m, "x", s.n, "x", s.k), make(dtype, s, false, true, Epilogue::bias), true});
  for (const int64_t m : {128, 1024, 4096})
    cases.push_back({str("linear + gelu ", m, "x3072x768"),
                     make(dtype, {m, 3072, 768}, false, true, Epilogue::bias_gelu), true});
  cases.push_back({"input gradient 1024x768x3072", make(dtype, {1024, 768, 3072}, false, false), true});
  cases.push_back({"weight gradient 768x768x16384", make(dtype, {768, 768, 16384}, true, false), true});
  return cases;
}

const RegisterShapes<Matmul> shapes_of_matmul{"MxNxK",
                                              [](DType dtype, const Extents& e) -> Case<Matmul::Args> {
                                                return {"", make(dtype, {e[0], e[1], e[2]})};
                                              }};

Cost Matmul::cost(const Args& a) {
  const auto [m, n, k] = sizes(a);
  const TensorView& b = a.b_packed.defined() ? a.b_packed : a.b;
  const double y = static_cast<double>(a.y.bytes()) * (a.beta != 0 ? 2 : 1);
  return {2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k),
          y + static_cast<double>(a.a.bytes() + b.bytes() + (a.bias.defined() ? a.bias.bytes() : 0) +
                                  (a.residual.defined() ? a.residual.bytes() : 0) +
                                  (a.pre_activation.defined() ? a.pre_activation.bytes() : 0))};
}

}  // namespace tenon
