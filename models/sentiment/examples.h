// Reviews as token ids.
#pragma once
#include <vector>

#include "models/data/split.h"
#include "models/encoder.h"

namespace tenon {

struct Examples {
  std::vector<std::vector<int32_t>> ids;  // with special tokens, cut to max_length
  std::vector<float> labels;              // 0 or 1

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
  std::vector<int64_t> lengths() const;
  int64_t tokens() const;
};

// On all cores, in the order of the reviews.
Examples tokenize(const std::vector<Review>& reviews, const Tokenizer& tokenizer, int max_length);

}  // namespace tenon
