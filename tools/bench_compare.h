// tenon bench --compare: what a variant's time is over its time in an earlier file of --json.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace tenon {

class Comparison {
 public:
  // No file: nothing is compared. Throws if the file is none of --json, or of another machine than `now`, the
  // report of this one.
  Comparison(const std::string& file, const nlohmann::json& now);

  // A verdict for each variant of a case. What was measured under other conditions is refused.
  void print(nlohmann::json& result);

  // Throws if the file had none of the cases that were timed.
  void check_any_compared() const;

 private:
  std::string file_;
  nlohmann::json old_;
  std::string missing_;  // the first case that it lacks
  bool compared_ = false;
};

}  // namespace tenon
