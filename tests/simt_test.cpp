// The emulator of the simt device: right kernels give right results under every schedule, and each kernel
// that is wrong in one way is refused with a sentence that names what, who and where. The kernels are in
// tests/simt/.
#include "tests/simt/kernels.h"
#include "tests/simt/testing.h"

namespace tenon {

TEST_CASE("elementwise kernels run over ragged grids") {
  under_every_schedule([](Stream& stream) {
    for (int n : {1, 127, 128, 129, 1000}) {
      const auto a = counting<float>(static_cast<size_t>(n)), b = counting<float>(static_cast<size_t>(n), 5);
      const Array<float> sum(static_cast<size_t>(n), -1);
      test::add(a.data(), b.data(), sum.data(), n, stream);
      for (int i = 0; i < n; ++i) REQUIRE(sum.data()[i] == static_cast<float>(2 * i + 5));
    }
  });
}

TEST_CASE("an empty grid runs nothing") {
  Stream stream(Device::simt);
  test::add(nullptr, nullptr, nullptr, 0, stream);
}

TEST_CASE("a block reduces rows with shuffles and shared memory") {
  under_every_schedule([](Stream& stream) {
    for (int columns : {1, 33, 255, 256, 257, 1023}) {
      Array<float> x(static_cast<size_t>(7 * columns), 1);
      const Array<float> sums(7);
      for (int row = 0; row < 7; ++row) x.data()[row * columns] = static_cast<float>(row);
      test::sum_rows(x.data(), sums.data(), 7, columns, stream);
      for (int row = 0; row < 7; ++row) REQUIRE(sums.data()[row] == static_cast<float>(columns - 1 + row));
    }
  });
}

TEST_CASE("tiles are transposed through shared memory") {
  under_every_schedule([](Stream& stream) {
    const int n = 96;
    const auto x = counting<float>(n * n);
    const Array<float> y(n * n);
    test::transpose(x.data(), y.data(), n, stream);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) REQUIRE(y.data()[j * n + i] == x.data()[i * n + j]);
  });
}

TEST_CASE("sync_warp orders the shared memory of its lanes") {
  under_every_schedule([](Stream& stream) {
    const auto x = counting<int>(64);
    const Array<int> y(64);
    test::rotate_in_warp(x.data(), y.data(), 3, stream);
    for (int i = 0; i < 64; ++i) REQUIRE(y.data()[i] == i / 32 * 32 + (i + 3) % 32);
  });
}

TEST_CASE("halves of a warp meet on their own") {
  under_every_schedule([](Stream& stream) {
    const Array<int> y(32);
    test::half_warps(y.data(), stream);
    for (int i = 0; i < 32; ++i) REQUIRE(y.data()[i] == (i < 16 ? 30 + 2 : 14));
  });
}

TEST_CASE("atomics of many blocks add up") {
  under_every_schedule([](Stream& stream) {
    const auto x = counting<int>(500, -100);
    const Array<int> positive(1);
    test::count_atomically(x.data(), 500, positive.data(), stream);
    REQUIRE(positive.data()[0] == 399);
  });
}

TEST_CASE("vectors and single bytes are told apart") {
  under_every_schedule([](Stream& stream) {
    const auto x = counting<float>(1000);
    const Array<float> y(1000);
    test::copy_vectors(x.data(), y.data(), 1000, stream);
    REQUIRE(x.values() == y.values());
    const auto bytes = counting<unsigned char>(777);
    const Array<unsigned char> copied(777);
    test::copy_scalars(bytes.data(), copied.data(), 777, stream);
    REQUIRE(bytes.values() == copied.values());
  });
}

TEST_CASE("a greedy schedule shows a write-after-read race without hooks") {
  Stream stream(Device::simt);
  const Array<float> y(64);
  test::unhooked_write_after_read(y.data(), stream);
  std::vector<float> right(64);
  for (size_t i = 0; i < 64; ++i) right[i] = static_cast<float>(3 * (63 - i) + 3);
  REQUIRE(y.values() != right);
}

TEST_CASE("a misuse of warps and barriers is refused") {
  const Array<float> y(64);
  const auto refuse = [&](std::vector<std::string> words, void (*kernel)(float*, Stream&)) {
    words.push_back("simt/wrong.cu:");
    refused(words, [&](Stream& stream) { kernel(y.data(), stream); });
  };
  refuse({"shuffle_xor", "return"}, test::shuffle_with_exited_lane);
  refuse({"shuffle_xor", "return"}, test::exits_while_others_shuffle);
  refuse({"outside its members"}, test::shuffle_from_outside_members);
  refuse({"lane 20", "does not have"}, test::lanes_that_do_not_exist);
  refuse({"while other lanes"}, test::lanes_in_different_shuffles);
  refuse({"while other threads", "another one"}, test::divergent_barrier);
  refuse({"deadlock", "1 in sync_threads", "31 in sync_warp"}, test::deadlock);
  refuse({"256 bytes of shared memory", "252"}, test::shared_too_small);
  refuse({"2048 x 1 x 1 threads"}, test::block_too_large);
}

TEST_CASE("an exception of a kernel reaches the caller") {
  const Array<float> y(64);
  refused({"thrown in a kernel"}, [&](Stream& stream) { test::throws(y.data(), stream); });
  under_every_schedule([&](Stream& stream) { test::add(y.data(), y.data(), y.data(), 0, stream); });
}

TEST_CASE("a misaligned vector is refused") {
  const Array<float> x(64), y(64);
  refused({"multiple of the vector's size", "wrong.cu:"},
          [&](Stream& stream) { test::misaligned_vector(x.data(), y.data(), stream); });
}

TEST_CASE("races are refused under every schedule") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  const Array<float> y(64);
  const Array<int> counts(64);
  const auto refuse = [&](std::vector<std::string> words, void (*kernel)(float*, Stream&)) {
    words.insert(words.end(), {"in a race at", "wrong.cu:", "with "});
    refused(words, [&](Stream& stream) { kernel(y.data(), stream); });
  };
  const auto refuse_int = [&](std::vector<std::string> words, void (*kernel)(int*, Stream&)) {
    words.insert(words.end(), {"in a race at", "wrong.cu:", "with "});
    refused(words, [&](Stream& stream) { kernel(counts.data(), stream); });
  };
  refuse({"shared memory", "same block"}, test::write_after_read_race);
  refuse({"another block", "writes"}, test::blocks_race);
  refuse({"another block"}, test::read_races_with_other_block);
  refuse_int({"atomically", "same block"}, test::plain_and_atomic_race);
}

TEST_CASE("a missing barrier is refused") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  const Array<float> y(64);
  const Array<int> counts(64);
  refused({"shared memory", "wrong.cu:"}, [&](Stream& stream) { test::barrier_missing(y.data(), stream); });
  refused({"shared memory", "wrong.cu:"},
          [&](Stream& stream) { test::sync_warp_missing(counts.data(), stream); });
  refused({"in a race"}, [&](Stream& stream) { test::shuffle_orders_no_memory(counts.data(), stream); });
}

TEST_CASE("accesses outside buffers are refused") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  const Array<float> x(64), y(64), small(33);
  refused({"writes 4 bytes out of bounds", "offset 132 of a buffer of 132 bytes", "wrong.cu:"},
          [&](Stream& stream) { test::write_past_the_end(small.data(), 33, stream); });
  refused({"reads 4 bytes out of bounds", "wrong.cu:"},
          [&](Stream& stream) { test::read_before_the_start(x.data(), y.data(), stream); });
  refused({"writes 4 bytes out of bounds", "offset 256 of shared memory of 256 bytes", "wrong.cu:"},
          [&](Stream& stream) { test::shared_past_the_end(y.data(), stream); });
  refused({"of shared memory that nobody wrote", "wrong.cu:"},
          [&](Stream& stream) { test::shared_unwritten(y.data(), stream); });
  refused({"no multiple", "wrong.cu:"},
          [&](Stream& stream) { test::misaligned_cast(x.data(), y.data(), stream); });
  refused({"static variable", "wrong.cu:"}, [&](Stream& stream) { test::host_variable(y.data(), stream); });
}

}  // namespace tenon
