#include "models/data/manifest.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

using nlohmann::json;

json describe(const Source& source) {
  const auto path = std::filesystem::absolute(source.path).lexically_normal();
  // A folder given as "name/" has an empty file name.
  const auto name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return {{"name", name.string()},
          {"kind", to_string(source.kind)},
          {"bytes", source.bytes},
          {"sha256", source.sha256}};
}

json describe(const std::vector<Review>& part) {
  const auto positive = std::ranges::count(part, 1, &Review::label);
  return {{"count", part.size()},
          {"negative", std::ssize(part) - positive},
          {"positive", positive},
          {"sha256", sha256_of_reviews(part)}};
}

}  // namespace

json manifest(const std::vector<Source>& sources, const Split& split, const SplitOptions& options) {
  json described = json::array();
  for (const Source& source : sources) described.push_back(describe(source));
  return {
      {"sources", described},
      {"seed", options.seed},
      {"valid_fraction", options.valid_fraction},
      {"test_fraction", options.test_fraction},
      {"limits",
       {{"train", options.train_limit}, {"valid", options.valid_limit}, {"test", options.test_limit}}},
      {"parts",
       {{"train", describe(split.train)}, {"valid", describe(split.valid)}, {"test", describe(split.test)}}}};
}

}  // namespace tenon
