// What the contract of the GRU lists: its views, cases and costs.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/base/cases.h"
#include "kernels/base/own_shape.h"
#include "kernels/gru/formula.h"
#include "kernels/gru/gru_sequence.h"
#include "kernels/gru/standard_math.h"

namespace tenon {
namespace {

struct Shape {
  std::string name;
  std::vector<int> lengths;
  int64_t inputs;
  int hidden, directions;
  bool bias = true, large = false, tf32 = false;
};

// tf32 concerns f32 alone.
std::vector<Shape> shapes(DType dtype) {
  const std::vector<int> batch_of_35 = {3, 2, 5, 1, 4, 4, 2, 3, 3, 1, 0, 2, 2, 1, 5, 3, 2, 2,
                                        1, 1, 3, 4, 2, 1, 2, 3, 1, 1, 2, 4, 1, 3, 2, 1, 2};
  std::vector<Shape> shapes = {
      {"one step of one unit", {1}, 1, 1, 1},
      {"hidden 1", {5}, 3, 1, 2},
      {"hidden 5 unsorted", {4, 7, 1}, 9, 5, 2},
      {"nothing but empty sequences", {0, 0}, 4, 5, 2},
      {"no sequence", {}, 4, 5, 1},
      {"hidden 33 ragged with empty ones", {3, 0, 9, 1, 12, 5, 0}, 24, 33, 2},
      {"without biases", {2, 6, 3}, 17, 16, 2, false},
      {"hidden 33 long", {60, 2}, 8, 33, 1},
      {"hidden 5 batch of 35", batch_of_35, 9, 5, 2},
      {"hidden 64 batch of 11", {2, 0, 4, 1, 1, 2, 3, 1, 0, 1, 2}, 8, 64, 2},
      {"hidden 64 without biases", {3, 0, 5, 1}, 8, 64, 1, false},
      {"hidden 128", {2, 3}, 8, 128, 1},
      {"hidden 256 alone", {2}, 8, 256, 1},
  };
  if (dtype == DType::f32)
    for (const char* name :
         {"hidden 64 batch of 11", "hidden 128", "hidden 33 ragged with empty ones", "hidden 256 alone"}) {
      Shape shape =
          *std::find_if(shapes.begin(), shapes.end(), [&](const Shape& s) { return s.name == name; });
      shape.name = str(name, ", tf32");
      shape.tf32 = true;
      shapes.push_back(shape);
    }
  shapes.push_back({"hidden 256 batch of 35", batch_of_35, 64, 256, 1, true, true});
  shapes.push_back({"model 32x256", std::vector<int>(32, 256), 768, 256, 2, true, true});
  shapes.push_back({"model 128x512", std::vector<int>(128, 512), 768, 256, 2, true, true});
  if (dtype == DType::f32)
    shapes.push_back({"model 128x512, tf32", std::vector<int>(128, 512), 768, 256, 2, true, true, true});
  return shapes;
}

int64_t total(const Shape& s) { return std::accumulate(s.lengths.begin(), s.lengths.end(), int64_t{0}); }

int longest(const Shape& s) {
  return s.lengths.empty() ? 0 : *std::max_element(s.lengths.begin(), s.lengths.end());
}

void scale(const TensorView& view, double factor) {
  if (view.defined()) cases::affine(view, factor, 0);
}

// Weights of the size that initialisation gives them, so that gates are neither all open nor all shut.
template <class Args>
void shrink_weights(Args& a) {
  for (int d = 0; d < a.directions; ++d) {
    scale(a.weight_ih[d], 1 / std::sqrt(static_cast<double>(a.x.shape[1])));
    scale(a.weight_hh[d], 1 / std::sqrt(static_cast<double>(a.hidden_size)));
  }
}

template <class Body>
void for_each_value(const TensorView& view, const Body& body) {
  dispatch<float, bf16>(view.dtype, [&]<class T>() {
    T* values = view.as<T>();
    for (int64_t i = 0; i < view.size(); ++i) values[i] = T(body(i, static_cast<float>(values[i])));
  });
}

void put_gates(const TensorView& gates, int64_t h) {
  for_each_value(gates, [h](int64_t i, float value) {
    const int64_t which = i % (4 * h) / h;
    if (which < 2) return gru::StandardMath::sigmoid(value);
    return which == 2 ? gru::StandardMath::tanh(value) : value;
  });
}

void put_states(const TensorView& y) {
  for_each_value(y, [](int64_t, float value) { return gru::StandardMath::tanh(value); });
}

GruSequence::Args make(DType dtype, const Shape& s) {
  const int64_t rows = total(s), h = s.hidden, batch = static_cast<int64_t>(s.lengths.size());
  GruSequence::Args a;
  a.x = {nullptr, dtype, {rows, s.inputs}};
  a.cu_seqlens = {nullptr, DType::i32, {batch + 1}};
  for (int d = 0; d < s.directions; ++d) {
    a.weight_ih[d] = {nullptr, dtype, {3 * h, s.inputs}};
    a.weight_hh[d] = {nullptr, dtype, {3 * h, h}};
    if (s.bias) a.bias_ih[d] = a.bias_hh[d] = {nullptr, dtype, {3 * h}};
  }
  a.y = {nullptr, dtype, {rows, s.directions * h}};
  a.h_n = {nullptr, dtype, {s.directions, batch, h}};
  a.gates = {nullptr, dtype, {s.directions, rows, 4 * h}};
  a.hidden_size = s.hidden;
  a.directions = s.directions;
  a.max_seqlen = longest(s);
  a.tf32 = s.tf32;
  return a;
}

GruSequenceBackward::Args make_backward(DType dtype, const Shape& s) {
  const GruSequence::Args f = make(dtype, s);
  return {.dy = f.y,
          .dh_n = f.h_n,
          .x = f.x,
          .y = f.y,
          .gates = f.gates,
          .cu_seqlens = f.cu_seqlens,
          .weight_ih = f.weight_ih,
          .weight_hh = f.weight_hh,
          .dx = f.x,
          .dweight_ih = f.weight_ih,
          .dweight_hh = f.weight_hh,
          .dbias_ih = f.bias_ih,
          .dbias_hh = f.bias_hh,
          .hidden_size = f.hidden_size,
          .directions = f.directions,
          .max_seqlen = f.max_seqlen,
          .tf32 = f.tf32};
}

template <class Args>
void fill(Args& a, const std::vector<int>& lengths) {
  cases::put_lengths(a.cu_seqlens, lengths);
  shrink_weights(a);
}

void fill_backward(GruSequenceBackward::Args& a, const std::vector<int>& lengths) {
  fill(a, lengths);
  put_gates(a.gates, a.hidden_size);
  put_states(a.y);
}

// Sequences, tokens of each, inputs, units of each of the two directions.
Shape equal_lengths(const Extents& e) {
  return {"", std::vector<int>(static_cast<size_t>(e[0]), static_cast<int>(e[1])), e[2],
          static_cast<int>(e[3]), 2};
}

double sum_of_bytes(const NamedViews& views) {
  double bytes = 0;
  for (const auto& [name, view] : views)
    if (view->defined()) bytes += static_cast<double>(view->bytes());
  return bytes;
}

// Of the two projections of every row.
template <class Args>
double projection_flops(const Args& a) {
  return 6.0 * static_cast<double>(a.x.shape[0]) * a.directions * a.hidden_size *
         static_cast<double>(a.x.shape[1] + a.hidden_size);
}

}  // namespace

NamedViews GruSequence::inputs(Args& a) {
  return {{"x", &a.x},
          {"cu_seqlens", &a.cu_seqlens},
          {"weight_ih", &a.weight_ih[0]},
          {"weight_ih_reverse", &a.weight_ih[1]},
          {"weight_hh", &a.weight_hh[0]},
          {"weight_hh_reverse", &a.weight_hh[1]},
          {"bias_ih", &a.bias_ih[0]},
          {"bias_ih_reverse", &a.bias_ih[1]},
          {"bias_hh", &a.bias_hh[0]},
          {"bias_hh_reverse", &a.bias_hh[1]}};
}

NamedViews GruSequenceBackward::inputs(Args& a) {
  return {{"dy", &a.dy},
          {"dh_n", &a.dh_n},
          {"x", &a.x},
          {"y", &a.y},
          {"gates", &a.gates},
          {"cu_seqlens", &a.cu_seqlens},
          {"weight_ih", &a.weight_ih[0]},
          {"weight_ih_reverse", &a.weight_ih[1]},
          {"weight_hh", &a.weight_hh[0]},
          {"weight_hh_reverse", &a.weight_hh[1]}};
}

NamedViews GruSequenceBackward::outputs(Args& a) {
  return {{"dx", &a.dx},
          {"dweight_ih", &a.dweight_ih[0]},
          {"dweight_ih_reverse", &a.dweight_ih[1]},
          {"dweight_hh", &a.dweight_hh[0]},
          {"dweight_hh_reverse", &a.dweight_hh[1]},
          {"dbias_ih", &a.dbias_ih[0]},
          {"dbias_ih_reverse", &a.dbias_ih[1]},
          {"dbias_hh", &a.dbias_hh[0]},
          {"dbias_hh_reverse", &a.dbias_hh[1]}};
}

std::vector<Case<GruSequence::Args>> GruSequence::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  const auto add = [&](std::string name, const Shape& s, Args args, double biases) {
    cases.push_back({std::move(name), args, s.large, [lengths = s.lengths, biases](Args& a) {
                       fill(a, lengths);
                       for (int d = 0; d < a.directions; ++d) scale(a.bias_ih[d], biases);
                     }});
  };
  for (const Shape& s : shapes(dtype)) add(s.name, s, make(dtype, s), 1);
  for (const int hidden : {20, 64}) {
    const Shape s{str(", hidden ", hidden), {3, 1, 4}, 7, hidden, 2};
    add("saturated gates" + s.name, s, make(dtype, s), 1e4);
    Args inference = make(dtype, s);
    inference.gates = {};
    add("inference" + s.name, s, inference, 1);
  }
  return cases;
}

std::vector<Case<GruSequenceBackward::Args>> GruSequenceBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  const auto add = [&](std::string name, const Shape& s, Args args) {
    cases.push_back(
        {std::move(name), args, s.large, [lengths = s.lengths](Args& a) { fill_backward(a, lengths); }});
  };
  for (const Shape& s : shapes(dtype)) add(s.name, s, make_backward(dtype, s));
  for (const int hidden : {20, 64}) {
    const Shape s{str(", hidden ", hidden), {3, 1, 0, 4}, 7, hidden, 2};
    Args args = make_backward(dtype, s);
    args.dx = {};
    add("frozen input" + s.name, s, args);
    args.dy = {};
    add("gradient of the last states only" + s.name, s, args);
    args = make_backward(dtype, s);
    args.dh_n = {};
    add("gradient of the outputs only" + s.name, s, args);
  }
  return cases;
}

const RegisterShapes<GruSequence> shapes_of_gru_sequence{
    "SEQUENCESxTOKENSxINPUTSxHIDDEN", [](DType dtype, const Extents& e) -> Case<GruSequence::Args> {
      const Shape s = equal_lengths(e);
      return {"", make(dtype, s), false, [lengths = s.lengths](GruSequence::Args& a) { fill(a, lengths); }};
    }};

const RegisterShapes<GruSequenceBackward> shapes_of_gru_sequence_backward{
    "SEQUENCESxTOKENSxINPUTSxHIDDEN", [](DType dtype, const Extents& e) -> Case<GruSequenceBackward::Args> {
      const Shape s = equal_lengths(e);
      return {"", make_backward(dtype, s), false,
              [lengths = s.lengths](GruSequenceBackward::Args& a) { fill_backward(a, lengths); }};
    }};

Cost GruSequence::cost(const Args& a) {
  Args views = a;
  return {projection_flops(a), sum_of_bytes(inputs(views)) + sum_of_bytes(outputs(views))};
}

Cost GruSequenceBackward::cost(const Args& a) {
  Args views = a;
  const double input = 6.0 * static_cast<double>(a.x.size()) * a.directions * a.hidden_size;
  const double flops = 2 * projection_flops(a) - (a.dx.defined() ? 0 : input);
  return {flops, sum_of_bytes(inputs(views)) + sum_of_bytes(outputs(views))};
}

}  // namespace tenon
