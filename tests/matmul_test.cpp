// What the packed product promises beyond agreeing with the reference: the same bits whatever the threads,
// the other rows, and whether the weights were packed before; and activations that are as good as fp32
// allows.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"
#include "kernels/matmul/packed.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

using Floats = std::vector<float>;

Floats normal(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  Floats values(static_cast<size_t>(count));
  for (float& value : values) value = distribution(generator);
  return values;
}

template <class T>
std::vector<T> rounded(const Floats& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(T(value));
  return result;
}

template <class T>
bool same_bits(const T* a, const T* b, int64_t count) {
  return std::memcmp(a, b, static_cast<size_t>(count) * sizeof(T)) == 0;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), static_cast<int64_t>(a.size()));
}

// Those that this processor can run.
template <class T = float>
std::vector<const MicroKernelsOf<T>*> all_micro_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    std::vector<const MicroKernels*> all{&portable_micro_kernels};
    if (has_avx2()) all.push_back(&avx2_micro_kernels);
    if (has_avx512()) all.push_back(&avx512_micro_kernels);
    return all;
  } else {
    std::vector<const Bf16MicroKernels*> all{&portable_bf16_micro_kernels};
    if (has_avx2()) all.push_back(&avx2_bf16_micro_kernels);
    if (has_avx512()) all.push_back(&avx512_bf16_micro_kernels);
    if (has_avx512_bf16()) all.push_back(&bf16_dot_micro_kernels);
    return all;
  }
}

template <class T>
struct Linear {
  int64_t m, n, k;
  std::vector<T> a = rounded<T>(normal(m * k, 1)), weight = rounded<T>(normal(n * k, 2)),
                 bias = rounded<T>(normal(n, 3)), y = std::vector<T>(m * n, T(NAN));

  PackedProduct<T> product(const MicroKernelsOf<T>* kernels) {
    return {.m = m,
            .n = n,
            .k = k,
            .a = a.data(),
            .a_stride = k,
            .b = weight.data(),
            .b_stride = k,
            .transpose_b = true,
            .y = y.data(),
            .y_stride = n,
            .epilogue = Epilogue::bias_gelu,
            .bias = bias.data(),
            .kernels = kernels};
  }
  std::vector<T> result(const PackedProduct<T>& product) {
    y.assign(y.size(), T(NAN));
    packed_matmul(product);
    return y;
  }
};

struct Threads {
  const int before = thread_count();
  explicit Threads(int count) { set_thread_count(count); }
  ~Threads() { set_thread_count(before); }
};

template <class T>
void check_threads() {
  for (const auto* kernels : all_micro_kernels<T>()) {
    Linear<T> linear{500, 333, 1700};
    std::vector<std::vector<T>> results;
    for (const int count : {1, 2, 3}) {
      const Threads threads(count);
      results.push_back(linear.result(linear.product(kernels)));
    }
    CHECK(same_bits(results[0], results[1]));
    CHECK(same_bits(results[0], results[2]));
  }
}

template <class T>
void check_row_alone() {
  for (const auto* kernels : all_micro_kernels<T>()) {
    Linear<T> all{1000, 100, 900};
    packed_matmul(all.product(kernels));
    for (const int64_t row : {0, 1, 13, 14, 503, 999}) {
      std::vector<T> y(all.n, T(NAN));
      PackedProduct<T> alone = all.product(kernels);
      alone.m = 1, alone.a += row * all.k, alone.y = y.data();
      packed_matmul(alone);
      CHECK(same_bits(y.data(), all.y.data() + row * all.n, all.n));
    }
  }
}

template <class T>
void check_packed_before() {
  for (const int64_t k : {0, 1, 384, 385, 5000}) {
    Linear<T> linear{60, 70, k};
    const std::vector<T> expected = linear.result(linear.product(nullptr));
    Floats packed(packed_bytes(k, linear.n, dtype_of<T>) / sizeof(float) + 1);
    pack_b(linear.weight.data(), k, true, k, linear.n, packed.data());
    PackedProduct<T> product = linear.product(nullptr);
    product.b_packed = packed.data(), product.b = nullptr;
    CHECK(same_bits(linear.result(product), expected));
  }
}

}  // namespace

TEST_CASE("a product has the same bits on one, two and three threads") {
  check_threads<float>();
  check_threads<bf16>();
}

TEST_CASE("a row has the same bits alone and among a thousand") {
  check_row_alone<float>();
  check_row_alone<bf16>();
}

TEST_CASE("weights that were packed before give the same bits as weights packed on the way") {
  check_packed_before<float>();
  check_packed_before<bf16>();
}

TEST_CASE("a product of bf16 is the fp32 product of the same numbers, rounded once") {
  Linear<bf16> narrow{70, 45, 5000};  // more than one pass over K
  Linear<float> wide{70, 45, 5000};
  const auto widen = [](const std::vector<bf16>& x) { return Floats(x.begin(), x.end()); };
  wide.a = widen(narrow.a), wide.weight = widen(narrow.weight), wide.bias = widen(narrow.bias);
  const auto expected = rounded<bf16>(wide.result(wide.product(&portable_micro_kernels)));
  CHECK(same_bits(narrow.result(narrow.product(&portable_bf16_micro_kernels)), expected));
}

TEST_CASE("a product inside a parallel loop is right") {
  Linear<float> linear{64, 96, 300};
  packed_matmul(linear.product(nullptr));
  const Floats expected = linear.y;
  std::vector<Linear<float>> copies(4, linear);
  parallel(4, [&](int64_t i) {
    copies[i].y.assign(copies[i].y.size(), NAN);
    packed_matmul(copies[i].product(nullptr));
  });
  for (const Linear<float>& copy : copies) CHECK(copy.y == expected);
}

// Through a product with one term: a(M, 1) 1 + 0.
TEST_CASE("activations keep their relative accuracy, the negative tails included") {
  struct Activation {
    const char* name;
    Epilogue epilogue;
    double (*exact)(double);
    float from, to;
    double bound;  // relative
  };
  const Activation activations[] = {
      {"gelu", Epilogue::bias_gelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -12.9f,
       20, 4e-7},
      {"gelu tanh", Epilogue::bias_gelu_tanh,
       [](double x) {
         return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
       },
       -5, 20, 3e-6},
      {"tanh", Epilogue::bias_tanh, [](double x) { return std::tanh(x); }, -20, 20, 3e-7}};
  for (const MicroKernels* kernels : all_micro_kernels())
    for (const Activation& activation : activations) {
      const int64_t count = 40001;
      const float one = 1, zero = 0;
      Floats x(count), y(count);
      for (int64_t i = 0; i < count; ++i)
        x[i] = activation.from + (activation.to - activation.from) * static_cast<float>(i) / count;
      packed_matmul({.m = count,
                     .n = 1,
                     .k = 1,
                     .a = x.data(),
                     .a_stride = 1,
                     .b = &one,
                     .b_stride = 1,
                     .y = y.data(),
                     .y_stride = 1,
                     .epilogue = activation.epilogue,
                     .bias = &zero,
                     .kernels = kernels});
      double worst = 0, at = 0;
      for (int64_t i = 0; i < count; ++i) {
        const double exact = activation.exact(x[i]),
                     error = std::fabs(y[i] - exact) / (std::fabs(exact) + 1e-37);
        if (!(error <= worst)) worst = error, at = x[i];
      }
      INFO(activation.name << " " << kernels->max_rows << " at " << at);
      // Without a fused multiply-add the rounding of x * x comes through in the tail, x^2 / 2 times enlarged.
      const bool exact_square = kernels != &portable_micro_kernels;
      CHECK(worst <= (exact_square ? activation.bound : 5e-6));
    }
}

// Through a product with one term: (a(M, 1) 1) gelu'(pre_activation).
TEST_CASE("the gradient through a GELU is exact wherever its argument lies") {
  const auto erf_form = [](double x) {
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
  };
  const auto tanh_form = [](double x) {
    const double c = std::sqrt(2 / std::acos(-1.0)), t = std::tanh(c * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
  };
  Floats x{INFINITY, -INFINITY, NAN, -1e30f, 1e30f};
  const std::vector<double> edges{1, 0, NAN, 0, 1};
  for (float value = -20; value < 20; value += 1 / 1024.0f) x.push_back(value);
  for (const MicroKernels* kernels : all_micro_kernels())
    for (const Epilogue epilogue : {Epilogue::dgelu, Epilogue::dgelu_tanh}) {
      Floats twos(x.size(), 2), y(x.size());
      const float one = 1;
      packed_matmul({.m = static_cast<int64_t>(x.size()),
                     .n = 1,
                     .k = 1,
                     .a = twos.data(),
                     .a_stride = 1,
                     .b = &one,
                     .b_stride = 1,
                     .y = y.data(),
                     .y_stride = 1,
                     .epilogue = epilogue,
                     .pre_activation = x.data(),
                     .pre_activation_stride = 1,
                     .kernels = kernels});
      double worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = i < edges.size()              ? edges[i]
                             : epilogue == Epilogue::dgelu ? erf_form(double{x[i]})
                                                           : tanh_form(double{x[i]});
        if (std::isnan(exact))
          CHECK(std::isnan(y[i]));
        else if (const double error = std::fabs(y[i] / 2 - exact); !(error <= worst))
          worst = error;
      }
      INFO(kernels->max_rows << (epilogue == Epilogue::dgelu ? " erf" : " tanh"));
      CHECK(worst <= (epilogue == Epilogue::dgelu ? 5e-7 : 1e-6));
    }
}

TEST_CASE("activations of infinities and NaN") {
  for (const MicroKernels* kernels : all_micro_kernels())
    for (const Epilogue epilogue : {Epilogue::bias_gelu, Epilogue::bias_gelu_tanh, Epilogue::bias_relu}) {
      const float one = 1, zero = 0;
      Floats x{INFINITY, -INFINITY, NAN, -1e30f, 1e30f}, y(5);
      packed_matmul({.m = 5,
                     .n = 1,
                     .k = 1,
                     .a = x.data(),
                     .a_stride = 1,
                     .b = &one,
                     .b_stride = 1,
                     .y = y.data(),
                     .y_stride = 1,
                     .epilogue = epilogue,
                     .bias = &zero,
                     .kernels = kernels});
      CHECK(y[0] == INFINITY);
      CHECK(std::fabs(y[1]) < 1e-30f);
      CHECK(std::isnan(y[2]));
      CHECK(std::fabs(y[3]) < 1e-30f);
      CHECK(y[4] == 1e30f);
    }
}
