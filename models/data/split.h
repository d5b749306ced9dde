// Training, validation and test reviews from a data set, as a pure function of the data and these options.
//
// 1. A source without a test part gives test_fraction of each class to one.
// 2. valid_fraction of each class of what is left for training becomes the validation part. IMDB: 25,000
// reviews
//    become 17,500 and 7,500, and the 25,000 of its test part stay whole. Both steps deal out each class
//    shuffled by the seed, and round to the nearest count.
// 3. A limit N keeps N / 2 negative and N - N / 2 positive reviews of its part: every k-th of the class's
// list in the
//    data set's order (files sorted by the bytes of their names), from the first, with k = floor(list /
//    wanted).
// Limits come last, so they never move a review from one part to another. Each part keeps the data set's
// order.
#pragma once
#include <cstdint>
#include <vector>

#include "models/data/reviews.h"

namespace tenon {

struct SplitOptions {
  uint64_t seed = 0;
  double valid_fraction = 0.3;  // over 0, under 1
  double test_fraction = 0.2;   // under 1; unused where the source has a test part
  int64_t train_limit = 0;      // 0: all
  int64_t valid_limit = 0;
  int64_t test_limit = 0;
};

struct Split {
  std::vector<Review> train, valid, test;  // test is empty only if test_fraction is 0
};

// Throws Error where a part would be empty, training would see one class only, or a limit asks for more than
// there is.
Split split(Dataset data, const SplitOptions& options);

// Rule 3 for reviews that are not split, such as those of an evaluation.
std::vector<Review> limited(std::vector<Review> reviews, int64_t limit);

}  // namespace tenon
