// Tensor cores and asynchronous copies on the emulator, lane by lane against the layouts of the PTX manual,
// which stand here once more in its own words: g is the lane's group (lane / 4), t its number in the group.
#include <bit>
#include <cmath>

#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"
#include "tests/simt/testing.h"

namespace tenon {
namespace {

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type" and "... mma.m16n8k8" (.tf32).
MmaPlace manual_a16(int g, int t, int i) {
  return {i < 2 || (i >= 4 && i < 6) ? g : g + 8, i < 4 ? t * 2 + (i & 1) : t * 2 + (i & 1) + 8};
}
MmaPlace manual_b16(int g, int t, int i) { return {i < 2 ? t * 2 + (i & 1) : t * 2 + (i & 1) + 8, g}; }
MmaPlace manual_a_tf32(int g, int t, int i) { return {i == 0 || i == 2 ? g : g + 8, i < 2 ? t : t + 4}; }
MmaPlace manual_b_tf32(int g, int t, int i) { return {i == 0 ? t : t + 4, g}; }
MmaPlace manual_c(int g, int t, int i) { return {i < 2 ? g : g + 8, t * 2 + (i & 1)}; }

bool same(MmaPlace a, MmaPlace b) { return a.row == b.row && a.column == b.column; }

// Small whole numbers, so that every sum is exact in fp32 and every element in every type.
int a_element(MmaPlace place) { return (7 * place.row + 3 * place.column) % 11 - 5; }
int b_element(MmaPlace place) { return (5 * place.row + 2 * place.column) % 13 - 6; }
int c_element(MmaPlace place) { return place.row - 2 * place.column; }
int expected(MmaPlace place, int depth) {
  int sum = c_element(place);
  for (int k = 0; k < depth; ++k) sum += a_element({place.row, k}) * b_element({k, place.column});
  return sum;
}

using Product = void (*)(const uint32_t*, const uint32_t*, float*, Stream&);

// Fills the registers of all lanes by the manual's places, and reads them back so.
template <class Encode>
void check_product(Product product, int depth, MmaPlace (*place_a)(int, int, int),
                   MmaPlace (*place_b)(int, int, int), const Encode& encode) {
  const int halves = depth == 16 ? 2 : 1;  // elements of a word
  under_every_schedule([&](Stream& stream) {
    const Array<uint32_t> a(32 * 4), b(32 * 2);
    const Array<float> c(32 * 4);
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4 * halves; ++i)
        a.data()[4 * lane + i / halves] |= encode(a_element(place_a(g, t, i))) << 16 * (i % halves);
      for (int i = 0; i < 2 * halves; ++i)
        b.data()[2 * lane + i / halves] |= encode(b_element(place_b(g, t, i))) << 16 * (i % halves);
      for (int i = 0; i < 4; ++i) c.data()[4 * lane + i] = static_cast<float>(c_element(manual_c(g, t, i)));
    }
    product(a.data(), b.data(), c.data(), stream);
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        INFO("lane " << lane << ", element " << i);
        CHECK(c.data()[4 * lane + i] == static_cast<float>(expected(manual_c(lane / 4, lane % 4, i), depth)));
      }
  });
}

}  // namespace

TEST_CASE("the places of fragments are those of the PTX manual") {
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 8; ++i) CHECK(same(mma_a_place<bf16>(lane, i), manual_a16(g, t, i)));
    for (int i = 0; i < 8; ++i) CHECK(same(mma_a_place<f16>(lane, i), manual_a16(g, t, i)));
    for (int i = 0; i < 4; ++i) CHECK(same(mma_b_place<bf16>(lane, i), manual_b16(g, t, i)));
    for (int i = 0; i < 4; ++i) CHECK(same(mma_a_place<tf32>(lane, i), manual_a_tf32(g, t, i)));
    for (int i = 0; i < 2; ++i) CHECK(same(mma_b_place<tf32>(lane, i), manual_b_tf32(g, t, i)));
    for (int i = 0; i < 4; ++i) CHECK(same(mma_c_place(lane, i), manual_c(g, t, i)));
  }
}

TEST_CASE("a product of bf16, f16 or tf32 fragments is the matrix product in every lane") {
  const auto bits16 = []<class T>(T value) { return static_cast<uint32_t>(value.bits); };
  check_product(test::mma_bf16, 16, manual_a16, manual_b16,
                [&](int x) { return bits16(bf16(static_cast<float>(x))); });
  check_product(test::mma_f16, 16, manual_a16, manual_b16,
                [&](int x) { return bits16(f16(static_cast<float>(x))); });
  check_product(test::mma_tf32, 8, manual_a_tf32, manual_b_tf32,
                [](int x) { return std::bit_cast<uint32_t>(static_cast<float>(x)); });
}

TEST_CASE("a tf32 product ignores the low 13 bits of its operands") {
  const Array<uint32_t> a(32 * 4, std::bit_cast<uint32_t>(1.0f) | 0x1fffu),
      b(32 * 2, std::bit_cast<uint32_t>(1.0f));
  const Array<float> c(32 * 4);
  Stream stream(Device::simt);
  test::mma_tf32(a.data(), b.data(), c.data(), stream);
  for (float value : c.values()) CHECK(value == 8);
}

TEST_CASE("numbers round to the nearest tf32, ties away from zero") {
  const uint32_t one = std::bit_cast<uint32_t>(1.0f), minus = 0x80000000u;
  const std::vector<std::pair<uint32_t, uint32_t>> known = {{one, one},
                                                            {one + 0x0fff, one},
                                                            {one + 0x1000, one + 0x2000},
                                                            {minus | (one + 0x1000), minus | (one + 0x2000)},
                                                            {0x3fffffff, 0x40000000},
                                                            {0x7f800000, 0x7f800000},
                                                            {0, 0}};
  const Array<float> x(32);
  const Array<uint32_t> y(32);
  for (size_t i = 0; i < known.size(); ++i) x.data()[i] = std::bit_cast<float>(known[i].first);
  x.data()[known.size()] = std::nanf("");
  Stream stream(Device::simt);
  test::round_to_tf32(x.data(), y.data(), stream);
  for (size_t i = 0; i < known.size(); ++i) CHECK(y.data()[i] == known[i].second);
  CHECK(std::isnan(std::bit_cast<float>(y.data()[known.size()])));
}

// PTX ISA, "ldmatrix": thread t holds elements 2 (t % 4) and 2 (t % 4) + 1 of row t / 4.
TEST_CASE("matrices of 8 x 8 are spread over the lanes as the PTX manual has it") {
  const auto element = [](int matrix, int row, int column) {
    return static_cast<uint32_t>(100 * matrix + 10 * row + column);
  };
  const Array<uint16_t> x(32 * 8);
  for (int i = 0; i < 32 * 8; ++i) x.data()[i] = static_cast<uint16_t>(element(i / 64, i / 8 % 8, i % 8));
  for (const int count : {1, 2, 4})
    for (const bool transposed : {false, true})
      under_every_schedule([&](Stream& stream) {
        const Array<uint32_t> y(32 * static_cast<size_t>(count));
        test::load_8x8(x.data(), count, transposed, y.data(), stream);
        for (int lane = 0; lane < 32; ++lane)
          for (int j = 0; j < count; ++j) {
            const int row = lane / 4, column = 2 * (lane % 4);
            const uint32_t low = transposed ? element(j, column, row) : element(j, row, column);
            const uint32_t high = transposed ? element(j, column + 1, row) : element(j, row, column + 1);
            INFO("lane " << lane << ", matrix " << j << " of " << count << ", transposed " << transposed);
            CHECK(y.data()[count * lane + j] == (low | high << 16));
          }
      });
}

TEST_CASE("asynchronous copies arrive in groups, and zeros fill what is not valid") {
  const auto x = counting<float>(12, 1);
  for (const int valid : {0, 4, 10, 16})
    under_every_schedule([&](Stream& stream) {
      const Array<float> y(12);
      test::copy_groups(x.data(), y.data(), valid, stream);
      for (int i = 0; i < 8; ++i) CHECK(y.data()[i] == x.data()[i]);
      const auto *from = reinterpret_cast<const unsigned char*>(x.data() + 8),
                 *to = reinterpret_cast<const unsigned char*>(y.data() + 8);
      for (int i = 0; i < 16; ++i) CHECK(to[i] == (i < valid ? from[i] : 0));
    });
}

TEST_CASE("an asynchronous copy is seen at the wait and not before") {
  const auto x = counting<float>(4, 1);
  const Array<float> y(1);
  Stream stream(Device::simt);
  test::copy_read_too_early(x.data(), y.data(), stream);
  CHECK(std::isnan(y.data()[0]));
}

TEST_CASE("a misuse of asynchronous copies and matrix loads is refused") {
  const auto x = counting<float>(16);
  const Array<uint16_t> halves(256);
  const Array<float> y(32);
  const Array<uint32_t> words(32);
  const std::string file = "tests/simt/tensor_cores.cu:";
  refused({"1 of its asynchronous copies were under way", file},
          [&](Stream& stream) { test::copy_not_waited_for(x.data(), y.data(), stream); });
  refused({"no multiple of the vector's size", file},
          [&](Stream& stream) { test::copy_to_misaligned(x.data(), y.data(), stream); });
  refused({"outside the block's shared memory", file},
          [&](Stream& stream) { test::matrices_from_global(halves.data(), words.data(), stream); });
  refused({"no multiple of the vector's size", file},
          [&](Stream& stream) { test::matrix_row_misaligned(words.data(), stream); });
  if (simt::has_hooks())
    refused({"in a race", file},
            [&](Stream& stream) { test::copy_without_barrier(x.data(), y.data(), stream); });
}

}  // namespace tenon
