// tenon bench --self-check: whether the bench finds no difference where there is none, and one where there
// is.
#pragma once
#include <string>

#include "tools/bench.h"

namespace tenon {

// 20 comparisons of a default variant with itself, and 20 with itself made slower by 5 %; prints each, and
// writes them to json_file if that is not empty. Throws if the 99 % interval of the ratio misses 1 in more
// than one of the former, or is not above 1 in more than two of the latter.
void check_bench(const BenchChoice& choice, TimingOptions timing, Device device,
                 const std::string& json_file);

}  // namespace tenon
