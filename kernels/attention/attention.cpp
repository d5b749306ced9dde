// Cases, costs and the plain CPU variant of attention: in f64 the reference, in f32 the yardstick.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

// One sequence and head: pointers to its first row and head.
struct Span {
  int64_t sequence, head, begin, length, dim;

  template <class T>
  T* row(const TensorView& x, int64_t position) const {
    return x.as<T>() + (begin + position) * x.stride[0] + head * dim;
  }
};

template <class Args, class Body>
void for_each_span(const Args& a, const Body& body) {
  const auto* offsets = a.cu_seqlens.template as<int32_t>();
  for (int64_t sequence = 0; sequence + 1 < a.cu_seqlens.shape[0]; ++sequence)
    for (int64_t head = 0; head < a.num_heads; ++head)
      body(Span{sequence, head, offsets[sequence], offsets[sequence + 1] - offsets[sequence],
                a.q.shape[1] / a.num_heads});
}

template <class T>
accumulator<T> dot(const T* a, const T* b, int64_t size) {
  accumulator<T> sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += accumulator<T>(a[i]) * accumulator<T>(b[i]);
  return sum;
}

// 1, 0 or the scale that dropout gives each probability of a row.
template <class Sum, class Args>
void dropout_factors(const Args& a, const Span& span, int64_t row, std::vector<Sum>& factors) {
  const uint64_t first = attention_key(static_cast<uint64_t>(a.first_sequence + span.sequence),
                                       static_cast<uint64_t>(span.head), static_cast<uint64_t>(row));
  for (int64_t column = 0; column < span.length; ++column) {
    const bool kept =
        !a.dropout.active() || a.dropout.key(first + static_cast<uint64_t>(column)) >= a.dropout.threshold();
    factors[column] = kept ? Sum(a.dropout.active() ? a.dropout.scale() : 1.0) : Sum(0);
  }
}

template <class T>
void forward_span(const Attention::Args& a, const Span& span) {
  using Sum = accumulator<T>;
  std::vector<Sum> p(span.length), factors(span.length), out(span.dim);
  for (int64_t row = 0; row < span.length; ++row) {
    Sum largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < span.length; ++j) {
      p[j] = Sum(a.scale) * dot(span.row<T>(a.q, row), span.row<T>(a.k, j), span.dim);
      largest = std::max(largest, p[j]);
    }
    for (int64_t j = 0; j < span.length; ++j) sum += p[j] = std::exp(p[j] - largest);
    dropout_factors(a, span, row, factors);
    std::fill(out.begin(), out.end(), Sum(0));
    for (int64_t j = 0; j < span.length; ++j) {
      const Sum weight = Sum(T(p[j] / sum * factors[j]));
      for (int64_t i = 0; i < span.dim; ++i) out[i] += weight * Sum(span.row<T>(a.v, j)[i]);
    }
    for (int64_t i = 0; i < span.dim; ++i) span.row<T>(a.out, row)[i] = T(out[i]);
    a.lse.as<Sum>()[span.head * a.q.shape[0] + span.begin + row] = largest + std::log(sum);
  }
}

template <class T>
void forward(const Attention::Args& a) {
  for_each_span(a, [&](const Span& span) { forward_span<T>(a, span); });
}

template <class T>
void backward_span(const AttentionBackward::Args& a, const Span& span) {
  using Sum = accumulator<T>;
  const int64_t length = span.length, dim = span.dim;
  std::vector<Sum> factors(length), dq(dim), dk(length * dim), dv(length * dim);
  for (int64_t row = 0; row < length; ++row) {
    const T *q = span.row<T>(a.q, row), *dout = span.row<T>(a.dout, row);
    const Sum lse = a.lse.as<Sum>()[span.head * a.q.shape[0] + span.begin + row];
    const Sum delta = dot(dout, span.row<T>(a.out, row), dim);
    dropout_factors(a, span, row, factors);
    std::fill(dq.begin(), dq.end(), Sum(0));
    for (int64_t j = 0; j < length; ++j) {
      const T *k = span.row<T>(a.k, j), *v = span.row<T>(a.v, j);
      const Sum p = std::exp(Sum(a.scale) * dot(q, k, dim) - lse);
      const Sum weight = Sum(T(p * factors[j]));
      const Sum ds = Sum(T(Sum(a.scale) * p * (dot(dout, v, dim) * factors[j] - delta)));
      for (int64_t i = 0; i < dim; ++i) {
        dv[j * dim + i] += weight * Sum(dout[i]);
        dq[i] += ds * Sum(k[i]);
        dk[j * dim + i] += ds * Sum(q[i]);
      }
    }
    for (int64_t i = 0; i < dim; ++i) span.row<T>(a.dq, row)[i] = T(dq[i]);
  }
  for (int64_t j = 0; j < length; ++j)
    for (int64_t i = 0; i < dim; ++i) {
      span.row<T>(a.dk, j)[i] = T(dk[j * dim + i]);
      span.row<T>(a.dv, j)[i] = T(dv[j * dim + i]);
    }
}

template <class T>
void backward(const AttentionBackward::Args& a) {
  for_each_span(a, [&](const Span& span) { backward_span<T>(a, span); });
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<Attention> plain{{.name = "plain",
                                 .device = Device::cpu,
                                 .dtypes = plain_types,
                                 .run = [](const Attention::Args& a, Stream&) {
                                   dispatch<double, float, bf16>(a.q.dtype,
                                                                 [&]<class T>() { forward<T>(a); });
                                 }}};
const Register<AttentionBackward> plain_backward{{.name = "plain",
                                                  .device = Device::cpu,
                                                  .dtypes = plain_types,
                                                  .run = [](const AttentionBackward::Args& a, Stream&) {
                                                    dispatch<double, float, bf16>(
                                                        a.q.dtype, [&]<class T>() { backward<T>(a); });
                                                  }}};

struct Shape {
  std::string name;
  std::vector<int> lengths;
  int heads, dim;
  double dropout = 0;
  double spread = 1;   // q and k are multiplied by it: logits of up to a few times its square
  bool fused = false;  // q, k and v lie side by side in rows of three times the width
  bool large = false;
  double first = 0;      // the first half of every query and key if not 0: one large number in all logits
  bool opposed = false;  // of keys with the other sign
};

std::vector<Shape> shapes() {
  return {{"one token", {1}, 1, 1},
          {"no sequence", {}, 2, 8},
          {"only empty sequences", {0, 0}, 2, 8},
          {"ragged with empty ones", {0, 5, 0, 33, 1, 64, 0}, 2, 32},
          {"odd head", {7, 19}, 3, 13},
          {"wide head", {40, 3}, 1, 128},
          {"wide head with dropout", {67, 1}, 1, 72, 0.2},
          {"past a block", {33, 130}, 1, 64},
          {"ragged with dropout", {17, 70, 2}, 2, 64, 0.1, 1, true},
          {"fused projection", {37, 64, 100}, 2, 16, 0, 1, true},
          {"large logits", {70}, 1, 16, 0, 1, false, false, 7},
          {"logits far below zero", {70}, 1, 16, 0, 1, false, false, 7, true},
          {"one key takes all", {33}, 1, 16, 0, 300},
          {"longest", {200}, 1, 16, 0.25},
          {"longest head of 32", {512}, 1, 32, 0.25, 1, false, true},
          {"fused projection of 64", {37, 64, 300}, 2, 64, 0, 1, true, true},
          {"bert 8x128", std::vector<int>(8, 128), 12, 64, 0, 1, true, true},
          {"bert 8x512", std::vector<int>(8, 512), 12, 64, 0, 1, true, true},
          {"bert 8x512 dropout", std::vector<int>(8, 512), 12, 64, 0.1, 1, true, true}};
}

template <class Args>
void set_scalars(Args& a, const Shape& s) {
  a.num_heads = s.heads;
  for (int length : s.lengths) a.max_seqlen = std::max(a.max_seqlen, length);
  a.scale = 1 / std::sqrt(s.dim);
  a.dropout = {s.dropout, {.seed = 20, .step = 3, .operation = operation_key("attention")}};
  a.first_sequence = 5;
}

TensorView rows_of(DType dtype, const Shape& s) {
  int64_t tokens = 0;
  for (int length : s.lengths) tokens += length;
  TensorView view(nullptr, dtype, {tokens, s.heads * s.dim});
  if (s.fused) view.stride[0] *= 3;
  return view;
}

void spread_rows(const TensorView& x, const Shape& s, double first) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const auto offset = static_cast<size_t>(row * x.stride[0]) * size_of(x.dtype);
    cases::affine({x.as<char>() + offset, x.dtype, {x.shape[1]}}, s.spread, 0);
    for (int64_t column = 0; first != 0 && column < x.shape[1]; ++column)
      if (column % s.dim < s.dim / 2)
        cases::put({x.as<char>() + offset + static_cast<size_t>(column) * size_of(x.dtype), x.dtype, {1}},
                   {first});
  }
}

template <class Args>
void fill_forward(Args& a, const Shape& s) {
  cases::put_lengths(a.cu_seqlens, s.lengths);
  spread_rows(a.q, s, s.first);
  spread_rows(a.k, s, s.opposed ? -s.first : s.first);
}

// A backward's out and lse are what the forward left.
void fill_backward(AttentionBackward::Args& a, const Shape& s) {
  fill_forward(a, s);
  const Attention::Args made{a.q,   a.k,         a.v,          a.cu_seqlens, a.out,
                             a.lse, a.num_heads, a.max_seqlen, a.scale,      a.dropout};
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() { forward<T>(made); });
}

Case<Attention::Args> make_case(DType dtype, const Shape& s) {
  Attention::Args a;
  a.q = a.k = a.v = rows_of(dtype, s);
  a.out = {nullptr, dtype, {a.q.shape[0], a.q.shape[1]}};
  a.lse = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.heads, a.q.shape[0]}};
  a.cu_seqlens = {nullptr, DType::i32, {static_cast<int64_t>(s.lengths.size()) + 1}};
  set_scalars(a, s);
  return {s.name, a, s.large, [s](Attention::Args& filled) { fill_forward(filled, s); }};
}

Case<AttentionBackward::Args> make_backward_case(DType dtype, const Shape& s) {
  AttentionBackward::Args a;
  a.q = a.k = a.v = a.dq = a.dk = a.dv = rows_of(dtype, s);
  a.dout = a.out = {nullptr, dtype, {a.q.shape[0], a.q.shape[1]}};
  a.lse = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.heads, a.q.shape[0]}};
  a.cu_seqlens = {nullptr, DType::i32, {static_cast<int64_t>(s.lengths.size()) + 1}};
  set_scalars(a, s);
  return {s.name, a, s.large, [s](AttentionBackward::Args& filled) { fill_backward(filled, s); }};
}

// Sequences, tokens of each, heads, size of a head.
Shape equal_lengths(const Extents& e) {
  return {"", std::vector<int>(static_cast<size_t>(e[0]), static_cast<int>(e[1])), static_cast<int>(e[2]),
          static_cast<int>(e[3])};
}

// Pairs of a row and a column that are scored, over all heads.
template <class Args>
double scored_pairs(const Args& a) {
  const auto* offsets = a.cu_seqlens.template as<int32_t>();
  double pairs = 0;
  for (int64_t i = 0; offsets && i + 1 < a.cu_seqlens.shape[0]; ++i) {
    const double length = offsets[i + 1] - offsets[i];
    pairs += length * length * a.num_heads;
  }
  return pairs;
}

}  // namespace

std::vector<Case<Attention::Args>> Attention::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes()) cases.push_back(make_case(dtype, s));
  return cases;
}

const RegisterShapes<Attention> shapes_of_attention{
    "SEQUENCESxTOKENSxHEADSxHEAD_SIZE", [](DType dtype, const Extents& e) -> Case<Attention::Args> {
      return make_case(dtype, equal_lengths(e));
    }};

std::vector<Case<AttentionBackward::Args>> AttentionBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes())
    // exp(s - lse) is as wrong as the rounding of so large an s: there is nothing to compare.
    if (s.spread <= 1) cases.push_back(make_backward_case(dtype, s));
  return cases;
}

const RegisterShapes<AttentionBackward> shapes_of_attention_backward{
    "SEQUENCESxTOKENSxHEADSxHEAD_SIZE", [](DType dtype, const Extents& e) -> Case<AttentionBackward::Args> {
      return make_backward_case(dtype, equal_lengths(e));
    }};

Cost Attention::cost(const Args& a) {
  const double head_dim = static_cast<double>(a.q.shape[1]) / a.num_heads;
  return {scored_pairs(a) * (4 * head_dim + 5), static_cast<double>(4 * a.out.bytes() + a.lse.bytes())};
}

Cost AttentionBackward::cost(const Args& a) {
  const double head_dim = static_cast<double>(a.q.shape[1]) / a.num_heads;
  return {scored_pairs(a) * (10 * head_dim + 8), static_cast<double>(8 * a.out.bytes() + a.lse.bytes())};
}

}  // namespace tenon
