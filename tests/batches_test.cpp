// Orders of batches: each sequence once an epoch, what each order promises, and the same for a seed
// everywhere.
#include "models/data/batches.h"

#include <algorithm>
#include <numeric>

#include "kernels/base/error.h"
#include "models/data/shuffle.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

using Epoch = std::vector<std::vector<int64_t>>;

constexpr BatchOrder all_orders[] = {BatchOrder::sequential, BatchOrder::sorted, BatchOrder::random,
                                     BatchOrder::bucketed, BatchOrder::packed};

// Many short sequences and a long tail, as in IMDB.
std::vector<int64_t> lengths(size_t count) {
  Draws draws(11, "test.lengths");
  std::vector<int64_t> result(count);
  for (int64_t& length : result) length = 10 + static_cast<int64_t>(draws.below(20) * draws.below(26));
  return result;
}

BatchOptions options(BatchOrder order) {
  return {.order = order, .batch_size = 16, .token_budget = 2048, .pool_batches = 10, .seed = 42};
}

std::vector<int64_t> flat(const Epoch& epoch) {
  std::vector<int64_t> indices;
  for (const auto& batch : epoch) indices.insert(indices.end(), batch.begin(), batch.end());
  return indices;
}

int64_t tokens(const std::vector<int64_t>& batch, const std::vector<int64_t>& lengths) {
  return std::accumulate(batch.begin(), batch.end(), int64_t{0},
                         [&](int64_t sum, int64_t i) { return sum + lengths[i]; });
}

// Tokens of the batches padded to their longest, over the tokens without padding.
double padding_factor(const Epoch& epoch, const std::vector<int64_t>& lengths) {
  int64_t padded = 0;
  for (const auto& batch : epoch) {
    int64_t longest = 0;
    for (const int64_t i : batch) longest = std::max(longest, lengths[i]);
    padded += longest * std::ssize(batch);
  }
  return static_cast<double>(padded) /
         static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
}

}  // namespace

TEST_CASE("every order has each sequence exactly once an epoch, and no empty batch") {
  for (const BatchOrder order : all_orders)
    for (const size_t count : {0, 1, 15, 16, 17, 160, 1003}) {
      INFO("order " << static_cast<int>(order) << ", " << count << " sequences");
      const Batches batches(lengths(count), options(order));
      const Epoch epoch = batches.epoch(2);
      for (const auto& batch : epoch) CHECK(!batch.empty());
      std::vector<int64_t> indices = flat(epoch), expected(count);
      std::iota(expected.begin(), expected.end(), 0);
      std::ranges::sort(indices);
      CHECK(indices == expected);
    }
}

TEST_CASE("only the short batch has another size") {
  for (const BatchOrder order :
       {BatchOrder::sequential, BatchOrder::sorted, BatchOrder::random, BatchOrder::bucketed}) {
    const Epoch epoch = Batches(lengths(1003), options(order)).epoch(0);
    CHECK(epoch.size() == 63);
    CHECK(std::ranges::count(epoch, 16u, &std::vector<int64_t>::size) == 62);
  }
}

TEST_CASE(
    "sequential keeps the order, sorted puts the longest first and keeps ties; both alike in every epoch") {
  const std::vector<int64_t> few{3, 9, 3, 12, 9};
  const BatchOptions by_two{.order = BatchOrder::sequential, .batch_size = 2};
  CHECK(Batches(few, by_two).epoch(0) == Epoch{{0, 1}, {2, 3}, {4}});
  CHECK(Batches(few, {.order = BatchOrder::sorted, .batch_size = 2}).epoch(0) == Epoch{{3, 1}, {4, 0}, {2}});
  CHECK(Batches(few, by_two).epoch(0) == Batches(few, by_two).epoch(5));
}

TEST_CASE("packed batches fill their budget and never pass it") {
  const auto all = lengths(1003);
  const Epoch epoch = Batches(all, options(BatchOrder::packed)).epoch(0);
  for (size_t b = 0; b < epoch.size(); ++b) {
    CHECK(tokens(epoch[b], all) <= 2048);
    // The next sequence did not fit.
    if (b + 1 < epoch.size()) CHECK(tokens(epoch[b], all) + all[epoch[b + 1][0]] > 2048);
  }
}

TEST_CASE("bucketed batches need far less padding than random ones") {
  const auto all = lengths(5000);
  CHECK(padding_factor(Batches(all, options(BatchOrder::random)).epoch(0), all) > 2);
  CHECK(padding_factor(Batches(all, options(BatchOrder::bucketed)).epoch(0), all) < 1.2);
}

TEST_CASE("bucketed batches come in no order of length") {
  const auto all = lengths(5000);
  const Epoch epoch = Batches(all, options(BatchOrder::bucketed)).epoch(0);
  int rises = 0;
  for (size_t b = 1; b < epoch.size(); ++b) rises += all[epoch[b][0]] > all[epoch[b - 1][0]];
  CHECK(rises > 110);
  CHECK(rises < 200);
}

TEST_CASE(
    "epochs and seeds differ; a new object gives the batches that a run resumed at (epoch, step) has left") {
  for (const BatchOrder order : {BatchOrder::random, BatchOrder::bucketed, BatchOrder::packed}) {
    const Batches batches(lengths(1003), options(order));
    CHECK(batches.epoch(0) != batches.epoch(1));
    BatchOptions other = options(order);
    other.seed = 43;
    CHECK(batches.epoch(0) != Batches(lengths(1003), other).epoch(0));

    const Epoch uninterrupted = batches.epoch(3);
    const Epoch resumed = Batches(lengths(1003), options(order)).epoch(3);
    CHECK(Epoch(uninterrupted.begin() + 20, uninterrupted.end()) ==
          Epoch(resumed.begin() + 20, resumed.end()));
  }
}

TEST_CASE("these are the batches of every machine") {
  const std::vector<int64_t> few{5, 1, 4, 2, 3, 9, 7, 8};
  const auto epoch = [&](BatchOrder order) {
    return Batches(few, {.order = order, .batch_size = 3, .token_budget = 12, .pool_batches = 2, .seed = 1})
        .epoch(4);
  };
  CHECK(epoch(BatchOrder::random) == Epoch{{7, 5, 6}, {3, 1, 2}, {4, 0}});
  CHECK(epoch(BatchOrder::bucketed) == Epoch{{0, 4}, {2, 3, 1}, {5, 7, 6}});
  CHECK(epoch(BatchOrder::packed) == Epoch{{7}, {5}, {6, 3, 1}, {2, 4, 0}});
}

TEST_CASE("draws are uniform, and each order of a shuffle is as likely as another") {
  Draws draws(5, "test.draws");
  int counts[6] = {};
  for (int i = 0; i < 60000; ++i) {
    std::vector<int> items{0, 1, 2};
    shuffle(items, draws);
    ++counts[items[0] * 2 + (items[1] > items[2])];
  }
  for (const int count : counts) CHECK(std::abs(count - 10000) < 500);  // five standard deviations
}

TEST_CASE("sizes that make no batch are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(Batches({5, 600}, {.order = BatchOrder::packed, .token_budget = 512}),
                    Contains("a batch of 512 tokens cannot hold the longest sequence, which has 600"));
  CHECK_THROWS_WITH(Batches({5}, {.batch_size = 0}), Contains("the batch size is 0"));
  CHECK_THROWS_WITH(Batches({5}, {.order = BatchOrder::bucketed, .pool_batches = 0}),
                    Contains("a pool of 0 batches"));
}
