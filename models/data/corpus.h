// Generated reviews for the quickstart where no real ones are at hand. What a review says decides its label,
// but its words alone do not: praise comes negated, blame is conceded, and one half of a sentence takes back
// the other.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/data/reviews.h"

namespace tenon {

// `count` different reviews of 3 to 7 sentences, negative and positive in turn (ids are 1, 2, ...). A pure
// function of its arguments.
std::vector<Review> generate_reviews(int64_t count, uint64_t seed);

// A line {"text": ..., "label": 0 or 1} for each review, as read_dataset reads it.
void write_json_lines(const std::string& path, const std::vector<Review>& reviews);

}  // namespace tenon
