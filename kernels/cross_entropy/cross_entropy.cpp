// Cases, costs and the plain CPU variant of cross entropy: in f64 the reference, in f32 the yardstick. A
// batch of classified texts is small: there is nothing to speed up.
#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/cases.h"
#include "kernels/base/registry.h"

namespace tenon {
namespace {

void check_labels(const TensorView& labels, int64_t classes) {
  for (int64_t row = 0; row < labels.size(); ++row) {
    const int32_t label = labels.as<int32_t>()[row];
    check(label >= 0 && label < classes, "label ", label, " at row ", row, " is none of the ", classes,
          " classes; labels count from 0");
  }
}

// The largest logit of a row, and the sum of exp(z - largest).
template <class T>
std::pair<accumulator<T>, accumulator<T>> normaliser(const T* z, int64_t classes) {
  using Sum = accumulator<T>;
  Sum largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < classes; ++i) largest = std::max(largest, Sum(z[i]));
  for (int64_t i = 0; i < classes; ++i) sum += std::exp(Sum(z[i]) - largest);
  return {largest, sum};
}

template <class T>
void forward(const CrossEntropy::Args& a) {
  using Sum = accumulator<T>;
  const int64_t rows = a.logits.shape[0], classes = a.logits.shape[1];
  Sum total = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const T* z = a.logits.as<T>() + row * classes;
    const auto [largest, sum] = normaliser(z, classes);
    total += std::log(sum) + (largest - Sum(z[a.labels.as<int32_t>()[row]]));
  }
  *a.loss.as<T>() = T(total / Sum(rows));
}

template <class T>
void backward(const CrossEntropyBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t rows = a.logits.shape[0], classes = a.logits.shape[1];
  const Sum factor = Sum(*a.dloss.as<T>()) / Sum(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const T* z = a.logits.as<T>() + row * classes;
    const auto [largest, sum] = normaliser(z, classes);
    for (int64_t i = 0; i < classes; ++i) {
      const Sum target = i == a.labels.as<int32_t>()[row] ? Sum(1) : Sum(0);
      a.dlogits.as<T>()[row * classes + i] = T(factor * (std::exp(Sum(z[i]) - largest) / sum - target));
    }
  }
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
       check_labels(a.labels, a.logits.shape[1]);
       dispatch<double, float, bf16>(a.logits.dtype, [&]<class T>() { backward<T>(a); });
     }}};

template <class Args, class Make>
std::vector<Case<Args>> make_cases(const Make& make) {
  std::vector<Case<Args>> cases;
  for (auto [rows, classes] : {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {33, 5}, {128, 2}, {7, 1023}})
    cases.push_back({str(rows, "x", classes), make(rows, classes), false,
                     [classes](Args& a) { cases::put_indices(a.labels, classes); }});
  cases.push_back({"extreme", make(8, 4), false, [](Args& a) {
                     cases::put_indices(a.labels, 4);
                     cases::put(a.logits, {1e4, -1e4, 0, 5, -1e4, -1e4, 90, 1e4, 3});
                   }});
  return cases;
}

}  // namespace

std::vector<Case<CrossEntropy::Args>> CrossEntropy::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t classes) {
    return Args{{nullptr, dtype, {rows, classes}}, {nullptr, DType::i32, {rows}}, {nullptr, dtype, {1}}};
  });
}

std::vector<Case<CrossEntropyBackward::Args>> CrossEntropyBackward::cases(DType dtype) {
  return make_cases<Args>([=](int64_t rows, int64_t classes) {
    const TensorView z(nullptr, dtype, {rows, classes});
    return Args{{nullptr, dtype, {1}}, z, {nullptr, DType::i32, {rows}}, z};
  });
}

Cost CrossEntropy::cost(const Args& a) {
  return {12 * static_cast<double>(a.logits.size()),
          static_cast<double>(a.logits.bytes() + a.labels.bytes())};
}

Cost CrossEntropyBackward::cost(const Args& a) {
  return {14 * static_cast<double>(a.logits.size()),
          static_cast<double>(2 * a.logits.bytes() + a.labels.bytes())};
}

}  // namespace tenon
