#include "models/data/split.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "kernels/base/error.h"
#include "models/data/shuffle.h"

namespace tenon {
namespace {

using Positions = std::vector<size_t>;  // in a list of reviews, ascending
using Classes = std::array<Positions, 2>;

constexpr std::string_view class_names[] = {"negative", "positive"};

Classes by_class(const std::vector<Review>& reviews) {
  Classes classes;
  for (size_t i = 0; i < reviews.size(); ++i) classes[reviews[i].label].push_back(i);
  return classes;
}

// Takes the first `count` off a shuffled list.
Positions deal(Positions& deck, size_t count) {
  Positions dealt(deck.begin(), deck.begin() + static_cast<ptrdiff_t>(count));
  deck.erase(deck.begin(), deck.begin() + static_cast<ptrdiff_t>(count));
  std::ranges::sort(dealt);
  return dealt;
}

size_t rounded(double fraction, size_t count) {
  return static_cast<size_t>(std::llround(fraction * static_cast<double>(count)));
}

Positions every_kth(const Positions& list, size_t wanted, std::string_view part, int label, int64_t limit) {
  check(wanted <= list.size(), "--", part, "-limit ", limit, " asks for ", wanted, " ", class_names[label],
        " reviews, but the ", part, " part has ", list.size(), "; lower it");
  Positions kept;
  for (size_t i = 0; i < wanted; ++i) kept.push_back(list[i * (list.size() / wanted)]);
  return kept;
}

// Moves the reviews of one part out of the list, in its order.
std::vector<Review> take(std::vector<Review>& reviews, Classes classes, std::string_view part,
                         int64_t limit) {
  check(limit >= 0, "--", part, "-limit is ", limit, "; give the number of reviews to keep");
  const auto wanted = static_cast<size_t>(limit);
  const size_t each[] = {wanted / 2, wanted - wanted / 2};
  for (int label = 0; label < 2 && limit > 0; ++label)
    classes[label] = every_kth(classes[label], each[label], part, label, limit);
  Positions merged;
  std::ranges::merge(classes[0], classes[1], std::back_inserter(merged));
  std::vector<Review> taken;
  for (const size_t i : merged) taken.push_back(std::move(reviews[i]));
  return taken;
}

void check_options(const Dataset& data, const SplitOptions& options) {
  check(options.valid_fraction > 0 && options.valid_fraction < 1, "the validation fraction is ",
        options.valid_fraction, "; it must lie between 0 and 1");
  check(options.test_fraction >= 0 && options.test_fraction < 1, "the test fraction is ",
        options.test_fraction, "; it must be at least 0 and less than 1");
  check(!data.train.empty(), data.sources.empty() ? "the data set" : data.sources.front().path,
        " holds no training reviews");
}

}  // namespace

Split split(Dataset data, const SplitOptions& options) {
  check_options(data, options);
  Classes train = by_class(data.train), valid, test;
  for (int label = 0; label < 2; ++label) {
    Positions& deck = train[label];
    check(!deck.empty(), "training needs both classes, but there is no ", class_names[label], " review");
    Draws draws(options.seed, "data.split", static_cast<uint32_t>(label));
    shuffle(deck, draws);
    if (data.test.empty()) test[label] = deal(deck, rounded(options.test_fraction, deck.size()));
    valid[label] = deal(deck, rounded(options.valid_fraction, deck.size()));
    std::ranges::sort(deck);
    check(!deck.empty() && !valid[label].empty(), "too few ", class_names[label],
          " reviews to have some for training and some for validation; add reviews or change the fractions");
  }
  Split parts;
  parts.train = take(data.train, std::move(train), "train", options.train_limit);
  parts.valid = take(data.train, std::move(valid), "valid", options.valid_limit);
  parts.test = data.test.empty() ? take(data.train, std::move(test), "test", options.test_limit)
                                 : take(data.test, by_class(data.test), "test", options.test_limit);
  return parts;
}

std::vector<Review> limited(std::vector<Review> reviews, int64_t limit) {
  return take(reviews, by_class(reviews), "test", limit);
}

}  // namespace tenon
