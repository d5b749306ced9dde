// What a run was trained and tested on, for its record and for a resumed run to compare.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "models/data/split.h"

namespace tenon {

// {"sources": [{"name", "kind", "bytes", "sha256"}], "seed", "valid_fraction", "test_fraction",
//  "limits": {"train", "valid", "test"}, "parts": {"train": {"count", "negative", "positive", "sha256"},
//  ...}}
// Names are without folders, a limit of 0 is none, and a part's hash is sha256_of_reviews.
nlohmann::json manifest(const std::vector<Source>& sources, const Split& split, const SplitOptions& options);

}  // namespace tenon
