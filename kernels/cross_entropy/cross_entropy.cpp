// Cases, costs and the plain CPU variant of cross entropy: in f64 the reference, in f32 the yardstick. A
// batch of classified texts is small: there is nothing to speed up.
#include "kernels/cross_entropy/cross_entropy.h"

#include "kernels/base/cases.h"
#include "kernels/base/index_fault.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/cross_entropy/formula.h"

namespace tenon {
namespace {

void check_labels(const TensorView& labels, int64_t classes) {
  for (int64_t row = 0; row < labels.size(); ++row) {
    const int32_t label = labels.as<int32_t>()[row];
    if (label < 0 || label >= classes) fail(describe({1, IndexKind::label, label, row, classes}));
  }
}

template <class T>
void forward(const CrossEntropy::Args& a) {
  using Sum = accumulator<T>;
  const int64_t rows = a.logits.shape[0], classes = a.logits.shape[1];
  Sum total = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const T* z = a.logits.as<T>() + row * classes;
    const int32_t label = a.labels.as<int32_t>()[row];
    const auto normaliser = cross_entropy::normaliser(z, classes);
    total += normaliser.loss(Sum(z[label]));
    if (!a.slopes.defined()) continue;
    for (int64_t i = 0; i < classes; ++i) {
      const Sum slope = normaliser.probability(Sum(z[i])) - Sum(i == label);
      a.slopes.as<T>()[row * classes + i] = T(slope / Sum(rows));
    }
  }
  *a.loss.as<T>() = T(total / Sum(rows));
}

template <class T>
void backward(const CrossEntropyBackward::Args& a) {
  using Sum = accumulator<T>;
  for (int64_t i = 0; i < a.slopes.size(); ++i)
    a.dlogits.as<T>()[i] = T(Sum(*a.dloss.as<T>()) * Sum(a.slopes.as<T>()[i]));
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<CrossEntropy> plain{{.name = "plain",
                                    .device = Device::cpu,
                                    .dtypes = plain_types,
                                    .run = [](const CrossEntropy::Args& a, Stream&) {
                                      check_labels(a.labels, a.logits.shape[1]);
                                      dispatch<double, float, bf16>(a.logits.dtype,
                                                                    [&]<class T>() { forward<T>(a); });
                                    }}};
const Register<CrossEntropyBackward> plain_backward{
    {.name = "plain",
     .device = Device::cpu,
     .dtypes = plain_types,
     .run = [](const CrossEntropyBackward::Args& a, Stream&) {
       dispatch<double, float, bf16>(a.slopes.dtype, [&]<class T>() { backward<T>(a); });
     }}};

struct Shape {
  int64_t rows, classes;
};
// Of few classes and of many, of one vector a lane and of rows that begin anywhere.
constexpr Shape shapes[] = {{1, 1}, {1, 2}, {33, 5}, {128, 2}, {2100, 3}, {7, 1023}, {5, 1024}, {3, 4104}};

}  // namespace

std::vector<Case<CrossEntropy::Args>> CrossEntropy::cases(DType dtype) {
  const auto make = [=](int64_t rows, int64_t classes) {
    const TensorView z(nullptr, dtype, {rows, classes});
    return Args{
        .logits = z, .labels = {nullptr, DType::i32, {rows}}, .loss = {nullptr, dtype, {1}}, .slopes = z};
  };
  std::vector<Case<Args>> cases;
  for (auto [rows, classes] : shapes)
    cases.push_back({str(rows, "x", classes), make(rows, classes), false,
                     [classes = classes](Args& a) { cases::put_indices(a.labels, classes); }});
  cases.push_back({"extreme", make(8, 4), false, [](Args& a) {
                     cases::put_indices(a.labels, 4);
                     cases::put(a.logits, {1e4, -1e4, 0, 5, -1e4, -1e4, 90, 1e4, 3});
                   }});
  cases.push_back(
      {"classes ruled out", make(9, 40), false, [](Args& a) {
         cases::put_indices(a.labels, 32);
         const size_t element = size_of(a.logits.dtype);
         for (size_t row = 0; row < 9; ++row)
           cases::put({a.logits.as<char>() + (row * 40 + 32) * element, a.logits.dtype, {8}}, {-INFINITY});
       }});
  Args inference = make(33, 5);
  inference.slopes = {};
  cases.push_back({"inference", inference, false, [](Args& a) { cases::put_indices(a.labels, 5); }});
  return cases;
}

std::vector<Case<CrossEntropyBackward::Args>> CrossEntropyBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (auto [rows, classes] : shapes) {
    const TensorView z(nullptr, dtype, {rows, classes});
    cases.push_back({str(rows, "x", classes), {.dloss = {nullptr, dtype, {1}}, .slopes = z, .dlogits = z}});
  }
  return cases;
}

const RegisterShapes<CrossEntropy> shapes_of_cross_entropy{
    "ROWSxCLASSES", [](DType dtype, const Extents& e) -> Case<CrossEntropy::Args> {
      const TensorView z(nullptr, dtype, {e[0], e[1]});
      return {
          "",
          {.logits = z, .labels = {nullptr, DType::i32, {e[0]}}, .loss = {nullptr, dtype, {1}}, .slopes = z},
          false,
          [](CrossEntropy::Args& a) { cases::put_indices(a.labels, a.logits.shape[1]); }};
    }};

const RegisterShapes<CrossEntropyBackward> shapes_of_cross_entropy_backward{
    "ROWSxCLASSES", [](DType dtype, const Extents& e) -> Case<CrossEntropyBackward::Args> {
      const TensorView z(nullptr, dtype, {e[0], e[1]});
      return {"", {.dloss = {nullptr, dtype, {1}}, .slopes = z, .dlogits = z}};
    }};

Cost CrossEntropy::cost(const Args& a) {
  return {
      15 * static_cast<double>(a.logits.size()),
      static_cast<double>(a.logits.bytes() + a.labels.bytes() + (a.slopes.defined() ? a.slopes.bytes() : 0))};
}

Cost CrossEntropyBackward::cost(const Args& a) {
  return {static_cast<double>(a.slopes.size()), static_cast<double>(2 * a.slopes.bytes())};
}

}  // namespace tenon
