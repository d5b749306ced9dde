// tenon bench --tune: from figures to the table that selection reads (engine/tuned_file.h).
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kernels/base/timing.h"

namespace tenon {

class Tuning {
 public:
  struct Measured {
    const AnyOperation& operation;
    const AnyArgs& args;
    DType dtype;
    Device device;
    size_t by_priority;  // variant
  };

  // From now on nothing is forced or tuned: figures are held against what priority chooses.
  static void begin();
  // Whether there are two variants to choose from that are deterministic and batch-invariant.
  static bool has_choice(const AnyOperation& operation, const AnyArgs& args, Device device);

  void add(const Measured& measured, const CaseTiming& timing);
  // Adds what was found to the table and prints it. Throws if there is nothing.
  void write() const;

 private:
  // Runs over the median of those by priority, of the cases that fall into one bucket.
  struct Bucket {
    std::string operation, shape;
    DType dtype;
    Device device;
    int cases = 0;
    std::string by_priority;  // "?" where it differs from case to case
    struct Ratios {
      std::vector<double> samples;
      int cases = 0;
    };
    std::map<std::string, Ratios> variants;

    std::string fastest() const;
  };
  std::map<std::string, Bucket> buckets_;
};

}  // namespace tenon
