// Dropout's masks in kernels: the bits that every device draws for the same element.
#pragma once
#include "kernels/base/philox.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout)
      : key_(dropout.key),
        threshold_(dropout.threshold()),
        scale_(static_cast<float>(dropout.scale())),
        active_(dropout.active()) {}

  __device__ bool active() const { return active_; }

  // What element first + i is multiplied by, 0 or the scale. first is a multiple of 4 where width is.
  template <int width>
  __device__ void factors(uint64_t first, float (&factor)[width]) const {
    if constexpr (width % 4 == 0) {
      for (int group = 0; group < width / 4; ++group) {
        const auto numbers = key_.block(first / 4 + static_cast<uint64_t>(group));
        for (int i = 0; i < 4; ++i) factor[4 * group + i] = numbers[i] >= threshold_ ? scale_ : 0.0f;
      }
    } else {
      for (int i = 0; i < width; ++i) factor[i] = this->factor(first + static_cast<uint64_t>(i));
    }
  }

  __device__ float factor(uint64_t element) const {
    const auto numbers = key_.block(element / 4);
    const uint32_t low = element & 1 ? numbers[1] : numbers[0], high = element & 1 ? numbers[3] : numbers[2];
    return (element & 2 ? high : low) >= threshold_ ? scale_
                                                    : 0.0f;  // no indexing: numbers stay in registers
  }

 private:
  RandomKey key_;
  uint32_t threshold_;
  float scale_;
  bool active_;
};

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
