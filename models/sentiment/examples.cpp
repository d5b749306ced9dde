#include "models/sentiment/examples.h"

#include <numeric>

#include "kernels/cpu/parallel.h"

namespace tenon {

std::vector<int64_t> Examples::lengths() const {
  std::vector<int64_t> all;
  for (const auto& sequence : ids) all.push_back(static_cast<int64_t>(sequence.size()));
  return all;
}

int64_t Examples::tokens() const {
  const auto all = lengths();
  return std::accumulate(all.begin(), all.end(), int64_t{0});
}

Examples tokenize(const std::vector<Review>& reviews, const Tokenizer& tokenizer, int max_length) {
  Examples examples;
  examples.ids.resize(reviews.size());
  for (const Review& review : reviews) examples.labels.push_back(static_cast<float>(review.label));
  parallel_for(static_cast<int64_t>(reviews.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      examples.ids[i] = tokenizer.encode(reviews[i].text, max_length);
  });
  return examples;
}

}  // namespace tenon
