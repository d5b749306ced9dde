// What the loop over the registry cannot ask of an operation: the same bits in another batch and on another
// number of threads, exact conversions, and what is said about a wrong index or name.
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/attention/attention.h"
#include "kernels/base/registry.h"
#include "kernels/base/select.h"
#include "kernels/cast/cast.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/unary.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather_rows/gather_rows.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

template <class Op>
void for_each_cpu_variant(DType dtype, const std::function<void(const Variant<Op>&)>& body) {
  for (const Entry<Op>& entry : entries<Op>()) {
    const Variant<Op>& variant = entry.variant;
    if (variant.device != Device::cpu || !entry.info->takes(dtype)) continue;
    if (variant.available && !variant.available()) continue;
    INFO(Op::name << "/" << variant.name);
    body(variant);
  }
}

std::vector<float> numbers(size_t count, uint64_t seed) {
  const RandomKey key{.seed = seed};
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(key(i)) * 0x1p-31f - 1;
  return values;
}

constexpr int heads = 2, dim = 32, width = heads * dim;

// Attention and its gradient over sequences of these lengths; the tokens are the same numbers in any batch
// that begins with the same lengths.
struct Results {
  std::vector<float> out, dq, dk, dv;
};

Results attend(const Variant<Attention>& forward, const Variant<AttentionBackward>& backward,
               const std::vector<int>& lengths) {
  std::vector<int32_t> offsets{0};
  for (int length : lengths) offsets.push_back(offsets.back() + length);
  const auto tokens = static_cast<size_t>(offsets.back());
  auto q = numbers(tokens * width, 1), k = numbers(tokens * width, 2), v = numbers(tokens * width, 3),
       dout = numbers(tokens * width, 4);
  std::vector<float> lse(tokens * heads);
  Results r;
  for (auto* each : {&r.out, &r.dq, &r.dk, &r.dv}) each->resize(tokens * width);
  const auto view = [&](std::vector<float>& x) {
    return TensorView(x.data(), DType::f32, {static_cast<int64_t>(tokens), width});
  };
  const TensorView sums(lse.data(), DType::f32, {heads, static_cast<int64_t>(tokens)});
  const TensorView starts(offsets.data(), DType::i32, {static_cast<int64_t>(offsets.size())});
  const Dropout dropout{0.1, {.seed = 6}};
  Stream& stream = Stream::current(Device::cpu);
  forward.run({view(q), view(k), view(v), starts, view(r.out), sums, heads, 300, 0.2, dropout}, stream);
  backward.run({view(dout), view(q), view(k), view(v), view(r.out), sums, starts, view(r.dq), view(r.dk),
                view(r.dv), heads, 300, 0.2, dropout},
               stream);
  return r;
}

bool begins_with(const std::vector<float>& whole, const std::vector<float>& part) {
  return std::memcmp(whole.data(), part.data(), part.size() * sizeof(float)) == 0;
}

TensorView indices(std::vector<int32_t>& values) {
  return {values.data(), DType::i32, {static_cast<int64_t>(values.size())}};
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a sequence's attention has the same bits in any batch and on any number of threads") {
  const int threads = thread_count();
  for_each_cpu_variant<Attention>(DType::f32, [&](const Variant<Attention>& forward) {
    for_each_cpu_variant<AttentionBackward>(DType::f32, [&](const Variant<AttentionBackward>& backward) {
      set_thread_count(1);
      const Results alone = attend(forward, backward, {300});
      set_thread_count(3);
      const Results beside = attend(forward, backward, {300, 7, 64, 0, 1, 65, 33, 2, 4, 5, 6});
      set_thread_count(threads);
      CHECK(begins_with(beside.out, alone.out));
      CHECK(begins_with(beside.dq, alone.dq));
      CHECK(begins_with(beside.dk, alone.dk));
      CHECK(begins_with(beside.dv, alone.dv));
    });
  });
}

TEST_CASE("every 16-bit number survives the way to fp32 and back, and NaN stays NaN") {
  for (DType narrow : {DType::bf16, DType::f16}) {
    std::vector<uint16_t> all(65536), back(all.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    std::vector<float> wide(all.size());
    const TensorView from(all.data(), narrow, {65536}), to(wide.data(), DType::f32, {65536}),
        again(back.data(), narrow, {65536});
    for_each_cpu_variant<Cast>(narrow, [&](const Variant<Cast>& variant) {
      variant.run({from, to}, Stream::current(Device::cpu));
      variant.run({to, again}, Stream::current(Device::cpu));
      int wrong = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        const float exact =
            narrow == DType::bf16 ? float(std::bit_cast<bf16>(all[i])) : float(std::bit_cast<f16>(all[i]));
        const bool is_nan = std::isnan(exact);
        wrong += is_nan != std::isnan(wide[i]) || (!is_nan && (wide[i] != exact || back[i] != all[i]));
      }
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("all variants round fp32 to 16 bits alike") {
  std::vector<float> x(1 << 20);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::bit_cast<float>(static_cast<uint32_t>(i * 4093));
  for (DType narrow : {DType::bf16, DType::f16}) {
    std::vector<std::vector<uint16_t>> results;
    for_each_cpu_variant<Cast>(DType::f32, [&](const Variant<Cast>& variant) {
      std::vector<uint16_t> y(x.size());
      const auto size = static_cast<int64_t>(x.size());
      variant.run({{x.data(), DType::f32, {size}}, {y.data(), narrow, {size}}}, Stream::current(Device::cpu));
      for (size_t i = 0; i < x.size(); ++i)
        if (std::isnan(x[i])) y[i] = 0;  // any NaN will do
      results.push_back(y);
    });
    REQUIRE(results.size() >= 2);
    for (const auto& result : results) CHECK(result == results.front());
  }
}

TEST_CASE("an fp64 number is rounded to 16 bits once") {
  // Halfway between two bf16 numbers but for a bit that fp32 has no room for.
  std::vector<double> x{1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-8 - 0x1p-40, -1 - 0x1p-8 - 0x1p-40};
  std::vector<bf16> y(x.size());
  run<Cast>({{x.data(), DType::f64, {3}}, {y.data(), DType::bf16, {3}}}, Stream::current(Device::cpu));
  CHECK(float(y[0]) == 1 + 0x1p-7f);
  CHECK(float(y[1]) == 1.0f);
  CHECK(float(y[2]) == -1 - 0x1p-7f);
}

TEST_CASE("an index outside its table is named with its place and the size of the table") {
  std::vector<int32_t> ids{5, 7, 101, 30600}, positions{0, 1, 2, 3}, types{0, 0, 1, -1};
  const auto check_all = [&] {
    check_embedding_indices(indices(ids), indices(positions), indices(types), 30522, 512, 2);
  };
  CHECK(contains(message_of(check_all), "token id 30600 at row 3 is past the vocabulary of 30522; "));
  ids[3] = 30521;
  CHECK(contains(message_of(check_all), "token type -1 at row 3 is below the token type table of 2; "));
  types[3] = 1;
  positions[1] = 512;
  CHECK(contains(message_of(check_all), "position 512 at row 1 is past the position table of 512; "));
  positions[1] = 511;
  CHECK(message_of(check_all) == "");
  CHECK(contains(message_of([&] { check_gather_index(indices(ids), 102); }), "index 30521 at place 3"));

  std::vector<float> logits(4), loss(1);
  std::vector<int32_t> labels{0, 2};
  const CrossEntropy::Args args{
      {logits.data(), DType::f32, {2, 2}}, indices(labels), {loss.data(), DType::f32, {1}}};
  CHECK(contains(message_of([&] { run<CrossEntropy>(args, Stream::current(Device::cpu)); }),
                 "label 2 at row 1"));
}

TEST_CASE("activations are found by the names that HuggingFace's configs use") {
  CHECK(unary_kind("relu") == UnaryKind::relu);
  CHECK(unary_kind("swish") == unary_kind("silu"));
  CHECK(unary_kind("linear") == UnaryKind::identity);
  CHECK(unary_kind("gelu_10") == UnaryKind::clipped_gelu);
  CHECK(contains(message_of([] { unary_kind("rleu"); }), "no activation 'rleu'"));
  std::set<std::string_view> names;
  for (int i = 0; i < unary_kinds; ++i) names.insert(to_string_view(static_cast<UnaryKind>(i)));
  CHECK(names.size() == unary_kinds);
}
