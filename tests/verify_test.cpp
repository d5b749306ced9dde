// The verifier itself: a variant that is wrong in any of these ways is told so, in a sentence that names what
// was seen, and the right ones pass. What this test plants, kernels_test would find in a registered variant.
#include "kernels/base/verify.h"

#include <cmath>

#include "kernels/base/accumulator.h"
#include "kernels/base/philox.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

// y = 2 x + row_bias
struct Toy {
  static constexpr std::string_view name = "toy";

  struct Args {
    TensorView x;         // (T, H)
    TensorView row_bias;  // (T)
    TensorView y;         // (T, H); rows may lie apart
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}, {"row_bias", &a.row_bias}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype) {
    const TensorView matrix(nullptr, dtype, {9, 33});
    const Args together{matrix, {nullptr, dtype, {9}}, matrix};
    Args apart = together;
    apart.y.stride[0] = 40;
    const TensorView narrow(nullptr, dtype, {64, 16}), number(nullptr, dtype, {1, 1});
    return {{"contiguous", together, false, nullptr},
            {"rows apart", apart, false, nullptr},
            {"narrow rows", {narrow, {nullptr, dtype, {64}}, narrow}, false, nullptr},
            {"one number", {number, {nullptr, dtype, {1}}, number}, false, nullptr}};
  }
  static Cost cost(const Args&) { return {}; }
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

// The right values, but for what `change(row, column, value)` makes of them.
template <class T, class Change>
void compute(const Toy::Args& a, const Change& change) {
  for (int64_t row = 0; row < a.x.shape[0]; ++row)
    for (int64_t column = 0; column < a.x.shape[1]; ++column) {
      using Sum = accumulator<T>;
      const T value(2 * Sum(a.x.as<T>()[row * a.x.stride[0] + column]) + Sum(a.row_bias.as<T>()[row]));
      a.y.as<T>()[row * a.y.stride[0] + column] = static_cast<T>(change(row, column, value));
    }
}

constexpr auto right = [](int64_t, int64_t, auto value) { return value; };

const Register<Toy> plain{{.name = "plain",
                           .device = Device::cpu,
                           .dtypes = {DType::f64, DType::f32, DType::bf16},
                           .run = [](const Toy::Args& a, Stream&) {
                             dispatch<double, float, bf16>(a.x.dtype,
                                                           [&]<class T>() { compute<T>(a, right); });
                           }}};

void file(std::string_view name, void (*run)(const Toy::Args&, Stream&), DType dtype = DType::f32) {
  Register<Toy>{{.name = name, .device = Device::cpu, .dtypes = {dtype}, .run = run}};
}

// Off by up to so many halves of a unit in the last place of bf16, each element by itself, before it is
// rounded.
template <int halves>
void compute_off_by(const Toy::Args& a, Stream&) {
  for (int64_t row = 0; row < a.x.shape[0]; ++row)
    for (int64_t column = 0; column < a.x.shape[1]; ++column) {
      const int64_t i = row * a.x.stride[0] + column;
      const float value = 2 * float(a.x.as<bf16>()[i]) + float(a.row_bias.as<bf16>()[row]);
      const uint32_t random = RandomKey{.seed = 1}(static_cast<uint64_t>(i));
      const float half = std::ldexp(1.0f, std::ilogb(std::fabs(value) + 0x1p-20f) - 8),
                  part = static_cast<float>(random) * 0x1p-31f - 1;
      a.y.as<bf16>()[row * a.y.stride[0] + column] = bf16(value + part * static_cast<float>(halves) * half);
    }
}

float& first(const TensorView& view) { return *view.as<float>(); }

const bool filed = [] {
  file("right", [](const Toy::Args& a, Stream&) { compute<float>(a, right); });
  file("NaN in one element", [](const Toy::Args& a, Stream&) {
    compute<float>(
        a, [](int64_t row, int64_t column, float value) { return row == 4 && column == 20 ? NAN : value; });
  });
  file("all NaN",
       [](const Toy::Args& a, Stream&) { compute<float>(a, [](int64_t, int64_t, float) { return NAN; }); });
  file("infinity in one element", [](const Toy::Args& a, Stream&) {
    compute<float>(a, [](int64_t row, int64_t, float value) { return row == 8 ? value * INFINITY : value; });
  });
  file("skips the last row", [](const Toy::Args& a, Stream&) {
    Toy::Args most = a;
    --most.x.shape[0];
    compute<float>(most, right);
  });
  file("skips the last column", [](const Toy::Args& a, Stream&) {
    Toy::Args most = a;
    --most.x.shape[1];
    compute<float>(most, right);
  });
  file("wrong sign in one row", [](const Toy::Args& a, Stream&) {
    compute<float>(a, [](int64_t row, int64_t, float value) { return row == 5 ? -value : value; });
  });
  file("one row is slightly off", [](const Toy::Args& a, Stream&) {
    compute<float>(a, [](int64_t row, int64_t, float value) { return row == 5 ? value * 1.00001f : value; });
  });
  file("takes the bias of the row before", [](const Toy::Args& a, Stream&) {
    Toy::Args shifted = a;
    const std::vector<float> bias(9, first(a.row_bias));
    shifted.row_bias.data = const_cast<float*>(bias.data());
    compute<float>(shifted, right);
  });
  file("writes beyond the end", [](const Toy::Args& a, Stream&) {
    compute<float>(a, right);
    a.y.as<float>()[8 * a.y.stride[0] + 33] = 0;
  });
  file("writes before the beginning", [](const Toy::Args& a, Stream&) {
    compute<float>(a, right);
    a.y.as<float>()[-1] = 0;
  });
  file("modifies its input", [](const Toy::Args& a, Stream&) {
    compute<float>(a, right);
    first(a.x) += 1;
  });
  file("right only the first time", [](const Toy::Args& a, Stream&) {
    static int calls = 0;
    const float factor = ++calls > 1 ? 0.5f : 1.0f;
    compute<float>(a, [=](int64_t, int64_t, float value) { return value * factor; });
  });
  file("adds to what stands in its output", [](const Toy::Args& a, Stream&) {
    compute<float>(a, [&](int64_t row, int64_t column, float value) {
      return value + a.y.as<float>()[row * a.y.stride[0] + column];
    });
  });
  file("off by up to half a unit", compute_off_by<1>, DType::bf16);
  file("off by up to four units", compute_off_by<8>, DType::bf16);
  return true;
}();

std::string judge(std::string_view name, size_t case_index = 0, DType dtype = DType::f32, uint64_t seed = 5) {
  const AnyOperation& toy = *find_operation("toy");
  const Verifier verifier(toy, dtype, case_index, seed);
  for (size_t i = 0; i < toy.variant_count(); ++i)
    if (toy.variant(i).name == name) return verifier.judge(i, Device::cpu);
  FAIL("no variant " << name);
  return "";
}

}  // namespace

TEST_CASE("right variants pass") {
  for (size_t index : {0, 1}) {
    CHECK(judge("plain", index) == "");
    CHECK(judge("right", index) == "");
  }
}

TEST_CASE("wrong values are found, with the element, both values and how many are wrong") {
  CHECK_THAT(judge("NaN in one element"),
             Catch::StartsWith("y[152] is nan, not ") && Catch::Contains("1 of 297"));
  CHECK_THAT(judge("all NaN"), Catch::StartsWith("y[0] is ") && Catch::Contains("297 of 297 wrong"));
  CHECK_THAT(judge("infinity in one element"), Catch::Contains("33 of 297 wrong, worst error inf"));
  CHECK_THAT(judge("wrong sign in one row"), Catch::StartsWith("y[165]"));
  CHECK_THAT(judge("one row is slightly off"), Catch::StartsWith("y[1") && Catch::Contains("of 297 wrong"));
  CHECK_THAT(judge("takes the bias of the row before"), Catch::StartsWith("y[33]"));
}

TEST_CASE("where plain is lucky in a row of few elements, a variant that is as good need not be") {
  const auto passed = [](std::string_view name, size_t case_index, uint64_t seeds = 40) {
    int count = 0;
    for (uint64_t seed = 0; seed < seeds; ++seed) count += judge(name, case_index, DType::bf16, seed).empty();
    return count;
  };
  constexpr size_t narrow_rows = 2, one_number = 3;
  CHECK(passed("off by up to half a unit", narrow_rows) == 40);
  CHECK(passed("off by up to half a unit", one_number, 400) >= 390);
  CHECK(passed("off by up to four units", narrow_rows) == 0);
}

TEST_CASE("elements that were never written are found") {
  for (size_t index : {0, 1}) {
    CHECK_THAT(judge("skips the last row", index),
               Catch::StartsWith("y[264] is ") && Catch::Contains("33 of 297"));
    CHECK_THAT(judge("skips the last column", index),
               Catch::StartsWith("y[32] is ") && Catch::Contains("9 of 297"));
    CHECK_THAT(judge("adds to what stands in its output", index), Catch::Contains("297 of 297 wrong"));
  }
}

TEST_CASE("writes outside the outputs are found") {
  CHECK(judge("writes beyond the end") == "memory outside y was written at byte 1188 of 1188");
  CHECK_THAT(judge("writes beyond the end", 1), Catch::StartsWith("memory outside y was written at byte "));
  CHECK(judge("writes before the beginning") == "memory outside y was written at byte -4 of 1188");
  CHECK(judge("modifies its input") == "input x was written at byte 0 of 1188");
}

TEST_CASE("a variant that is right only the first time is found the second time") {
  CHECK(judge("right only the first time") == "");
  CHECK_THAT(judge("right only the first time"), Catch::Contains("297 of 297 wrong"));
}
