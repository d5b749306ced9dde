// Keeps an answer from being known before the clock starts. A problem is loaded long before its run, so that
// it leaves the caches; until the clock starts a few elements of its inputs are not what they will be, and no
// two runs have the same ones.
#pragma once
#include "kernels/base/verify.h"

namespace tenon {

class Disguise {
 public:
  // Loads the inputs of `host`, but a few elements of each floating one a thousand times as large, and
  // poisons the outputs. The places are drawn from the seed. Both problems must outlive it.
  Disguise(Problem& problem, const Problem& host, Device device, uint64_t seed);

  // Empty, or which output was written since; a few elements of each are looked at.
  std::string written_meanwhile() const;

  // The true elements come to their places, or those of other places: such a run cannot be verified.
  void reveal(bool truly) const;

 private:
  struct Hidden {
    char* place;  // on the device
    const char *truth, *other;
    size_t width;
  };
  struct Poisoned {
    std::string_view output;
    const char* place;
    size_t width;
  };

  Device device_;
  std::vector<Hidden> hidden_;
  std::vector<Poisoned> poisoned_;
};

}  // namespace tenon
