// The counters of the simt device: what they say of small kernels is what a hand counts, under every
// schedule.
#include "kernels/base/registry.h"
#include "kernels/base/verify.h"
#include "kernels/simt/counts.h"
#include "tests/simt/counted.h"
#include "tests/simt/testing.h"

namespace tenon {
namespace {

using simt::AccessCounts;
using simt::AccessKind;
using simt::Memory;

using Kernels = std::vector<simt::KernelCounts>;

Kernels count(const std::function<void(Stream&)>& body) {
  Stream stream(Device::simt);
  const simt::Counting counting;
  body(stream);
  return counting.kernels();
}

// The counts of the one kernel that body launches, under each schedule.
void counted(const std::function<void(Stream&)>& body,
             const std::function<void(const simt::KernelCounts&)>& check) {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  under_every_schedule([&](Stream&) {
    const Kernels kernels = count(body);
    REQUIRE(kernels.size() == 1);
    check(kernels[0]);
  });
}

// requests, lanes, bytes, transactions, least
void check_counts(const AccessCounts& is, const AccessCounts& expected) {
  CHECK(is.requests == expected.requests);
  CHECK(is.lanes == expected.lanes);
  CHECK(is.bytes == expected.bytes);
  CHECK(is.transactions == expected.transactions);
  CHECK(is.least == expected.least);
}

AccessCounts loads(const simt::KernelCounts& kernel, Memory memory = Memory::global) {
  return kernel.total(memory, AccessKind::read);
}
AccessCounts stores(const simt::KernelCounts& kernel, Memory memory = Memory::global) {
  return kernel.total(memory, AccessKind::write);
}

}  // namespace

TEST_CASE("neighbouring lanes that copy neighbouring words move 4 sectors a request") {
  const auto x = counting<float>(256);
  const Array<float> y(256);
  counted([&](Stream& stream) { test::gather(x.data(), y.data(), 256, 1, 0, stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {8, 256, 1024, 32, 32});
            check_counts(stores(kernel), {8, 256, 1024, 32, 32});
            CHECK(kernel.kernel == "test::gather_kernel");
            CHECK_THAT(kernel.launched_at, Catch::Contains("counted.cu:"));
            CHECK(kernel.launches == 1);
            CHECK(kernel.blocks == 4);
            CHECK(kernel.threads == 64);
            REQUIRE(kernel.sites.size() == 2);
            CHECK_THAT(kernel.sites[0].place, Catch::Contains("counted.cu:12"));
          });
}

TEST_CASE("a stride, an offset and a value for all cost the sectors that they touch") {
  const auto x = counting<float>(64 * 32 + 1);
  const Array<float> y(64);
  const auto with = [&](int stride, int offset, uint64_t sectors, uint64_t least) {
    INFO("stride " << stride << ", offset " << offset);
    counted([&](Stream& stream) { test::gather(x.data(), y.data(), 64, stride, offset, stream); },
            [&](const simt::KernelCounts& kernel) {
              check_counts(loads(kernel), {2, 64, 256, sectors, least});
              check_counts(stores(kernel), {2, 64, 256, 8, 8});
            });
  };
  with(2, 0, 2 * 8, 2 * 4);
  with(32, 0, 2 * 32, 2 * 4);
  with(1, 1, 2 * 5, 2 * 4);  // misaligned by a word
  with(0, 0, 2 * 1, 2 * 1);  // one word for all
}

TEST_CASE("half words and vectors are one request each, whatever the hooks see of them") {
  const auto x = counting<float>(512);
  const Array<float> y(512);
  const auto halves = counting<uint16_t>(64);
  const Array<uint16_t> moved(64);
  counted([&](Stream& stream) { test::gather_halves(halves.data(), moved.data(), 64, stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {2, 64, 128, 4, 4});
          });
  counted([&](Stream& stream) { test::gather_pairs(x.data(), y.data(), 512, stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {8, 256, 2048, 64, 64});
            check_counts(stores(kernel), {8, 256, 2048, 64, 64});
          });
  counted([&](Stream& stream) { test::gather_vectors(x.data(), y.data(), 512, stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {4, 128, 2048, 64, 64});
            check_counts(stores(kernel), {4, 128, 2048, 64, 64});
          });
  // The same bytes word by word: each of the four requests of a warp touches all of its 16 sectors.
  counted([&](Stream& stream) { test::gather_scalars(x.data(), y.data(), 512, stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {16, 512, 2048, 256, 64});
            check_counts(stores(kernel), {16, 512, 2048, 256, 64});
          });
}

TEST_CASE("a transposed tile has conflicts of 32 ways without a padding word and none with it") {
  const auto x = counting<float>(1024);
  const Array<float> y(1024);
  for (bool padded : {false, true})
    counted([&](Stream& stream) { test::turn_tile(x.data(), y.data(), padded, stream); },
            [&](const simt::KernelCounts& kernel) {
              check_counts(stores(kernel, Memory::shared), {32, 1024, 4096, 32, 32});
              check_counts(loads(kernel, Memory::shared), {32, 1024, 4096, padded ? 32u : 1024u, 32});
              check_counts(loads(kernel), {32, 1024, 4096, 128, 128});
              CHECK(kernel.operation("sync_threads") == 1);
            });
}

TEST_CASE("shared words conflict where their banks do, vectors by halves and quarters of a warp") {
  const auto with = [](int bytes, int stride, uint64_t wavefronts, uint64_t least) {
    INFO(bytes << " bytes every " << stride);
    counted([&](Stream& stream) { test::shared_words(bytes, stride, stream); },
            [&](const simt::KernelCounts& kernel) {
              check_counts(loads(kernel, Memory::shared),
                           {1, 32, 32 * static_cast<uint64_t>(bytes), wavefronts, least});
            });
  };
  with(4, 4, 1, 1);
  with(4, 8, 2, 1);
  with(4, 32, 8, 1);
  with(4, 0, 1, 1);  // one word for all
  with(4, 36, 1, 1);
  with(2, 2, 1, 1);  // two lanes share a word
  with(8, 8, 2, 2);
  with(8, 16, 4, 2);
  with(16, 16, 4, 4);
  with(16, 32, 8, 4);
}

TEST_CASE("matrix loads conflict where the rows of one matrix share banks") {
  const auto with = [](int row_bytes, uint64_t wavefronts) {
    INFO(row_bytes << " bytes a row");
    counted([&](Stream& stream) { test::load_4_matrices(row_bytes, stream); },
            [&](const simt::KernelCounts& kernel) {
              check_counts(loads(kernel, Memory::shared), {2, 64, 1024, 2 * wavefronts, 8});
              CHECK(kernel.operation("load_matrices") == 2);
            });
  };
  with(16, 4);
  with(32, 8);
  with(128, 32);
  with(144, 4);
}

TEST_CASE("an asynchronous copy is one load and one store of its warp") {
  const auto x = counting<float>(128);
  for (int valid : {16, 4, 0})
    counted([&](Stream& stream) { test::copy_rows_async(x.data(), valid, stream); },
            [&](const simt::KernelCounts& kernel) {
              const auto bytes = static_cast<uint64_t>(32 * valid);
              if (valid == 16) check_counts(loads(kernel), {1, 32, bytes, 16, 16});
              if (valid == 4) check_counts(loads(kernel), {1, 32, bytes, 16, 4});
              if (valid == 0) check_counts(loads(kernel), {});
              check_counts(stores(kernel, Memory::shared), {1, 32, 512, 4, 4});
              CHECK(kernel.copies == 32);
              CHECK(kernel.copied_bytes == bytes);
            });
}

TEST_CASE("lanes on two sides of a branch make two requests") {
  const auto x = counting<float>(33), z = counting<float>(33);
  const Array<float> y(32);
  counted([&](Stream& stream) { test::odd_and_even(x.data(), z.data(), y.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            // x: words 0, 2, … 30 of 4 sectors; z: words 2, 4, … 32 of 5.
            check_counts(loads(kernel), {2, 32, 128, 4 + 5, 2 * 2});
            check_counts(stores(kernel), {1, 32, 128, 4, 4});
          });
}

TEST_CASE("a loop of different lengths makes one request for each time around") {
  const auto x = counting<float>(1024);
  const Array<float> y(32);
  uint64_t sectors = 0;
  for (uint64_t i = 0; i < 32; ++i) sectors += 4 - i / 8;  // lanes i to 31
  counted([&](Stream& stream) { test::triangle(x.data(), y.data(), stream); },
          [&](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {32, 528, 4 * 528, sectors, sectors});
          });
}

TEST_CASE("lanes that return before the others meet took part in what came before") {
  const auto x = counting<float>(32);
  const Array<float> y(32);
  counted([&](Stream& stream) { test::leave_early(x.data(), y.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            check_counts(loads(kernel), {1, 32, 128, 4, 4});
            check_counts(stores(kernel), {1, 16, 64, 2, 2});
            CHECK(kernel.operation("shuffle_xor") == 1);
          });
}

TEST_CASE("barriers count by block, warp rendezvous by warp") {
  const auto x = counting<float>(128);
  const Array<float> y(128);
  counted([&](Stream& stream) { test::meet_often(x.data(), y.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            CHECK(kernel.operation("sync_threads") == 3 * 2);
            CHECK(kernel.operation("sync_warp") == 3 * 4);
            CHECK(kernel.operation("shuffle") == 3 * 4);
            check_counts(loads(kernel), {12, 384, 1536, 48, 48});
          });
  const Array<int> z(256);
  counted([&](Stream& stream) { test::meet_in_grid(z.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            CHECK(kernel.operation("sync_grid") == 3);
            CHECK(kernel.cooperative);
            check_counts(stores(kernel), {3 * 8, 3 * 256, 3 * 1024, 3 * 32, 3 * 32});
          });
}

TEST_CASE("an atomic takes as many turns as lanes meet at one address") {
  const Array<int> sums(65), most(1);
  const Array<float> sum(1);
  counted([&](Stream& stream) { test::count_all(sums.data(), sum.data(), most.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            // sums[0], sum and most: all lanes of a warp at one address; sums[1 …]: each at its own.
            check_counts(kernel.total(Memory::global, AccessKind::atomic), {8, 256, 1024, 3 * 2 * 32 + 2, 8});
          });
}

TEST_CASE("products of fragments count by their depth") {
  const Array<float> y(32);
  counted([&](Stream& stream) { test::multiply_fragments(y.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            CHECK(kernel.operation("mma") == 3);
            CHECK(kernel.operation("mma of tf32") == 2);
          });
}

TEST_CASE("what lies in another block's shared memory counts apart") {
  const Array<int> y(128);
  counted([&](Stream& stream) { test::reach_next_block(y.data(), stream); },
          [](const simt::KernelCounts& kernel) {
            CHECK(kernel.operation("sync_cluster") == 2 * 2);
            CHECK(kernel.cluster == 2);
            check_counts(stores(kernel, Memory::shared), {4, 128, 512, 4, 4});
            check_counts(loads(kernel, Memory::cluster), {4, 128, 512, 0, 0});
          });
}

TEST_CASE("nothing is counted outside of a scope, and a second one is refused") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  const auto x = counting<float>(64);
  const Array<float> y(64);
  Stream stream(Device::simt);
  test::gather(x.data(), y.data(), 64, 1, 0, stream);
  const simt::Counting counting;
  CHECK(counting.kernels().empty());
  CHECK_THROWS_WITH(simt::Counting(), Catch::Contains("already"));
}

// What is matched is what lanes do, not when.
TEST_CASE("registered kernels have the same counts under every schedule") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  size_t compared = 0;
  for (const char* name : {"attention", "layer_norm_backward", "softmax", "gru_sequence"}) {
    const AnyOperation* operation = find_operation(name);
    REQUIRE(operation != nullptr);
    const DType type = operation->dtypes().front();
    const auto cases = operation->cases(type);
    const size_t index = 3;
    const Verifier verifier(*operation, type, index, 7);
    for (size_t variant = 0; variant < operation->variant_count(); ++variant) {
      if (operation->variant(variant).device != Device::simt) continue;
      if (!operation->supports(variant, verifier.inputs().args()).empty()) continue;
      INFO(operation->name() << "/" << operation->variant(variant).name << "/" << cases[index].name);
      std::vector<Kernels> results;
      for (const simt::Schedule& schedule : {schedules[0], schedules[1], schedules[2]}) {
        simt::set_schedule(schedule);
        Problem problem(operation->clone(verifier.inputs().args()), Device::simt);
        problem.load_inputs(verifier.inputs());
        results.push_back(count([&](Stream& stream) { operation->run(variant, problem.args(), stream); }));
      }
      simt::set_schedule({});
      CHECK(results[1] == results[0]);
      CHECK(results[2] == results[0]);
      ++compared;
    }
  }
  CHECK(compared >= 8);
}

}  // namespace tenon
