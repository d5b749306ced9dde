// Blocks that run together on the emulator: barriers across a grid and a cluster, the shared memory of other
// blocks, ClusterBarriers and asynchronous stores; each right under every schedule, and each misuse refused.
#include "tests/simt/testing.h"
#include "tests/simt/together.h"

namespace tenon {
namespace {

using Kernel = void (*)(int*, Stream&);

// The kernel is refused with these words, and with a place in its source.
void refuse(std::vector<std::string> words, Kernel kernel) {
  words.push_back("together_wrong.cu:");
  const Array<int> y(96);
  refused(words, [&](Stream& stream) { kernel(y.data(), stream); });
}

}  // namespace

TEST_CASE("a grid hands values from block to block") {
  under_every_schedule([](Stream& stream) {
    for (int blocks : {1, 2, 7, 16}) {
      const Array<int> y(static_cast<size_t>(blocks));
      test::rotate_in_grid(y.data(), blocks, 5, stream);
      for (int i = 0; i < blocks; ++i) REQUIRE(y.data()[i] == (i + 5) % blocks);
    }
  });
}

TEST_CASE("a cooperative grid is as large as most_cooperative_blocks, and no larger") {
  const int most = static_cast<int>(test::most_blocks());
  const Array<int> y(static_cast<size_t>(most) + 1);
  under_every_schedule([&](Stream& stream) { test::grid_too_large(y.data(), most, stream); });
  refused({str("a cooperative grid of ", most + 1, " blocks"), "together_wrong.cu:"},
          [&](Stream& stream) { test::grid_too_large(y.data(), most + 1, stream); });
}

TEST_CASE("blocks of a cluster read each other's shared memory") {
  under_every_schedule([](Stream& stream) {
    for (int cluster : {1, 2, 4, 8}) {
      const Array<int> y(static_cast<size_t>(3 * cluster * 32));
      test::rotate_in_cluster(y.data(), 3, cluster, 1, stream);
      for (int i = 0; i < 3 * cluster * 32; ++i) {
        const int block = i / 32, from = block / cluster * cluster + (block + 1) % cluster;
        REQUIRE(y.data()[i] == 32 * from + (i + 1) % 32);
      }
    }
  });
}

TEST_CASE("atomics reach the shared memory of another block") {
  under_every_schedule([](Stream& stream) {
    const Array<int> y(32);
    test::add_into_first_block(y.data(), 4, stream);
    for (int i = 0; i < 32; ++i) REQUIRE(y.data()[i] == 4 * i + 6);
  });
}

TEST_CASE("a block knows its rank in its cluster") {
  under_every_schedule([](Stream& stream) {
    const Array<int> y(24);
    test::count_ranks(y.data(), 3, 4, stream);
    for (int block = 0; block < 12; ++block) {
      REQUIRE(y.data()[2 * block] == block % 4);
      REQUIRE(y.data()[2 * block + 1] == 4);
    }
  });
  CHECK(test::most_clusters_of_4() > 0);
}

TEST_CASE("a ClusterBarrier hands memory from warp to warp") {
  under_every_schedule([](Stream& stream) {
    const Array<int> y(32 * 9);
    test::hand_over_in_block(y.data(), 9, stream);
    for (int i = 0; i < 32 * 9; ++i) REQUIRE(y.data()[i] == i / 32 * 32 + 31 - i % 32);
  });
}

TEST_CASE("asynchronous stores carry a state from step to step") {
  for (int cluster : {1, 2, 3, 4, 8}) {
    std::vector<uint32_t> expected(static_cast<size_t>(cluster) * 32);
    std::iota(expected.begin(), expected.end(), 0u);
    for (int step = 0; step < 7; ++step) {
      const std::vector<uint32_t> before = expected;
      for (int i = 0; i < cluster * 32; ++i) {
        uint32_t sum = 0;
        for (int other = 0; other < cluster; ++other)
          sum += static_cast<uint32_t>(other + 1) * before[static_cast<size_t>(32 * other + (i + 1) % 32)];
        expected[static_cast<size_t>(i)] = sum;
      }
    }
    under_every_schedule([&](Stream& stream) {
      const Array<uint32_t> y(expected.size());
      test::exchange_all(y.data(), cluster, 7, stream);
      REQUIRE(y.values() == expected);
    });
  }
}

TEST_CASE("asynchronous stores are of 4, 8 and 16 bytes") {
  under_every_schedule([](Stream& stream) {
    const Array<int> y(7 * 32);
    test::send_vectors(y.data(), stream);
    for (int i = 0; i < 7 * 32; ++i) REQUIRE(y.data()[i] == i);
  });
}

TEST_CASE("a misuse of grids and clusters is refused") {
  refuse({"sync_grid", "not cooperative"}, test::sync_grid_not_cooperative);
  refuse({"sync_grid", "returned"}, test::sync_grid_without_one);
  refuse({"sync_grid", "another one"}, test::sync_grid_at_two_places);
  refuse({"a cluster of 4 blocks", "divides the grid's 6"}, test::cluster_does_not_divide);
  refuse({"a cluster of 16 blocks"}, test::cluster_too_large);
  refuse({"deadlock", "in sync_cluster", "in sync_warp"}, test::sync_cluster_in_one_block);
  refuse({"block 2 of a cluster of 2"}, test::rank_outside_cluster);
}

TEST_CASE("a misuse of ClusterBarriers is refused") {
  refuse({"deadlock", "in ClusterBarrier::wait", "phase 0", "lacks 1 of 2 arrivals"},
         test::wait_without_arrivals);
  refuse({"already has the 2 arrivals of its phase 0"}, test::one_arrival_too_many);
  refuse({"arrive", "nobody initialised"}, test::barrier_not_initialised);
  refuse({"a second time"}, test::barrier_initialised_twice);
  refuse({"lacks fence_barrier_init"}, test::barrier_not_fenced);
  refuse({"the ClusterBarrier of another block"}, test::wait_at_other_block);
  refuse({"expect"}, test::too_few_bytes_expected);
  refuse({"deadlock", "lacks 0 of 1 arrivals and 4 bytes"}, test::too_many_bytes_expected);
  refuse({"store_async", "its own block"}, test::store_to_own_block);
  refuse({"store_async", "no multiple of 8"}, test::store_misaligned);
  refuse({"store_async", "not in the same block"}, test::store_counts_elsewhere);
}

TEST_CASE("blocks that run together race without a barrier") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  refuse({"in a race", "another block"}, test::sync_grid_missing);
  refuse({"shared memory"}, test::sync_cluster_before_remote_read_missing);
  refuse({"shared memory", "in a race", "another block"}, test::sync_cluster_before_remote_write_missing);
  refuse({"shared memory", "returned"}, test::sync_cluster_before_return_missing);
  refuse({"out of bounds"}, test::remote_past_the_end);
  const Array<int> y(64);
  const Array<int*> addresses(2);
  refused({"of another block, which only in_block() makes visible", "together_wrong.cu:"},
          [&](Stream& stream) { test::remote_without_in_block(addresses.data(), y.data(), stream); });
}

TEST_CASE("only a ClusterBarrier says that a store has arrived") {
  if (!simt::has_hooks()) SKIPPED("this build has no memory hooks (TENON_SIMT_HOOKS)");
  refuse({"in a race"}, test::wait_missing);
  refuse({"in a race"}, test::wait_of_one_thread);
  refuse({"in a race"}, test::wait_for_wrong_parity);
  refuse({"in a race"}, test::arrival_before_the_write);
  refuse({"in a race"}, test::slot_sent_to_while_read);
  refuse({"shared memory"}, test::barrier_used_before_sync);
  refuse({"in a race"}, test::barrier_overwritten);
  refuse({"returned", "shared memory"}, test::store_not_waited_for);
  refuse({"returned"}, test::arrival_after_return);
}

}  // namespace tenon
