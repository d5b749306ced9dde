// Places for data on their way to a device in a ring of bytes. A place is given out again once what stood
// there has arrived; places arrive in the order in which they were taken.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace tenon {

class StagingRing {
 public:
  StagingRing(size_t bytes, size_t most_places) : bytes_(bytes), most_places_(most_places) {}

  struct Place {
    size_t begin, end;
    uint64_t number;  // of the place, counted from 0
  };

  // A place of that size, at most that of the ring. wait(number), in ascending order, for each earlier place
  // that is given up for it.
  template <class Wait>
  Place take(size_t bytes, const Wait& wait) {
    size_t begin = under_way_.empty() ? 0 : (under_way_.back().end + 63) / 64 * 64;
    if (begin + bytes > bytes_) begin = 0;
    const Place place{begin, begin + bytes, next_++};
    const auto overlaps = [&](const Place& other) {
      return other.begin < place.end && place.begin < other.end;
    };
    while (under_way_.size() == most_places_ || std::ranges::any_of(under_way_, overlaps)) {
      wait(under_way_.front().number);
      under_way_.pop_front();
    }
    under_way_.push_back(place);
    return place;
  }

 private:
  size_t bytes_, most_places_;
  uint64_t next_ = 0;
  std::deque<Place> under_way_;  // oldest first
};

}  // namespace tenon
