#include "models/data/batches.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/base/error.h"
#include "models/data/shuffle.h"

namespace tenon {
namespace {

using Indices = std::vector<int64_t>;

// Stable, so that equal lengths keep the order they came in.
void sort_longest_first(Indices::iterator begin, Indices::iterator end, const std::vector<int64_t>& lengths) {
  std::stable_sort(begin, end, [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
}

std::vector<Indices> cut(const Indices& order, int64_t batch_size) {
  std::vector<Indices> batches;
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = begin + std::min<int64_t>(batch_size, order.end() - begin);
    batches.emplace_back(begin, end);
    begin = end;
  }
  return batches;
}

std::vector<Indices> pack(const Indices& order, const std::vector<int64_t>& lengths, int64_t token_budget) {
  std::vector<Indices> batches;
  int64_t left = 0;
  for (const int64_t i : order) {
    if (batches.empty() || lengths[i] > left) {
      batches.emplace_back();
      left = token_budget;
    }
    batches.back().push_back(i);
    left -= lengths[i];
  }
  return batches;
}

}  // namespace

Batches::Batches(std::vector<int64_t> lengths, const BatchOptions& options)
    : lengths_(std::move(lengths)), options_(options) {
  if (options_.order == BatchOrder::packed) {
    const int64_t longest = lengths_.empty() ? 1 : std::ranges::max(lengths_);
    check(options_.token_budget >= longest, "a batch of ", options_.token_budget,
          " tokens cannot hold the longest sequence, which has ", longest, "; raise the token budget");
  } else {
    check(options_.batch_size > 0, "the batch size is ", options_.batch_size, "; it must be at least 1");
    check(options_.pool_batches > 0, "a pool of ", options_.pool_batches, " batches; it must be at least 1");
  }
}

std::vector<Indices> Batches::epoch(int64_t number) const {
  Indices order(lengths_.size());
  std::iota(order.begin(), order.end(), 0);
  Draws draws(options_.seed, "data.batches", static_cast<uint32_t>(number));
  if (options_.order == BatchOrder::sorted) sort_longest_first(order.begin(), order.end(), lengths_);
  if (options_.order == BatchOrder::sequential || options_.order == BatchOrder::sorted)
    return cut(order, options_.batch_size);

  shuffle(order, draws);
  if (options_.order == BatchOrder::random) return cut(order, options_.batch_size);
  if (options_.order == BatchOrder::packed) return pack(order, lengths_, options_.token_budget);

  const int64_t pool = options_.pool_batches * options_.batch_size;
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = begin + std::min<int64_t>(pool, order.end() - begin);
    sort_longest_first(begin, end, lengths_);
    begin = end;
  }
  auto batches = cut(order, options_.batch_size);
  shuffle(batches, draws);
  return batches;
}

}  // namespace tenon
