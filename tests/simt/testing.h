// What the tests of the emulator share: schedules, device buffers, and what it means to be refused.
#pragma once
#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/base/memory.h"
#include "kernels/base/stream.h"
#include "kernels/simt/device_memory.h"
#include "kernels/simt/emulator.h"
#include "tests/catch.h"

namespace tenon {

inline const std::vector<simt::Schedule> schedules = {{simt::Order::greedy, 0},
                                                      {simt::Order::reversed, 0},
                                                      {simt::Order::random, 1},
                                                      {simt::Order::random, 2},
                                                      {simt::Order::random, 3}};

// A device buffer of exactly n elements.
template <class T>
struct Array {
  explicit Array(size_t n, T value = T{}) : size(n), buffer(Device::simt, n * sizeof(T)) {
    std::fill_n(data(), n, value);
  }
  T* data() const { return buffer.as<T>(); }
  std::vector<T> values() const { return {data(), data() + size}; }

  simt::DeviceAccess access;  // for the test itself
  size_t size;
  Buffer buffer;
};

template <class T>
Array<T> counting(size_t n, T first = T{}) {
  Array<T> array(n);
  std::iota(array.data(), array.data() + n, first);
  return array;
}

inline void under_every_schedule(const std::function<void(Stream&)>& body) {
  for (const simt::Schedule& schedule : schedules) {
    INFO("order " << static_cast<int>(schedule.order) << ", seed " << schedule.seed);
    simt::set_schedule(schedule);
    Stream stream(Device::simt);
    body(stream);
  }
  simt::set_schedule({});
}

// The kernel must be refused under every schedule, each time with all of the words.
inline void refused(const std::vector<std::string>& words, const std::function<void(Stream&)>& kernel) {
  under_every_schedule([&](Stream& stream) {
    std::string message = "(no error)";
    try {
      kernel(stream);
    } catch (const std::exception& error) {
      message = error.what();
    }
    for (const std::string& word : words) CHECK_THAT(message, Catch::Contains(word));
  });
}

}  // namespace tenon
