// Reductions in sixteen lanes: the order of additions is fixed by the length alone, and the compiler may
// still use vector registers, which it must not for a plain sum of floats.
#pragma once
#include <algorithm>
#include <cstdint>

namespace tenon::cpu {

inline constexpr int64_t lane_count = 16;

// combine(a, b) over value(i), i in [0, size), starting from `start` in every lane.
template <class Value, class Combine>
float reduce(int64_t size, float start, const Value& value, const Combine& combine) {
  float lanes[lane_count];
  std::fill_n(lanes, lane_count, start);
  int64_t i = 0;
  for (; i + lane_count <= size; i += lane_count)
    for (int64_t lane = 0; lane < lane_count; ++lane) lanes[lane] = combine(lanes[lane], value(i + lane));
  for (int64_t lane = 0; i < size; ++i, ++lane) lanes[lane] = combine(lanes[lane], value(i));
  for (int64_t width = lane_count / 2; width > 0; width /= 2)
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] = combine(lanes[lane], lanes[lane + width]);
  return lanes[0];
}

template <class Value>
float sum(int64_t size, const Value& value) {
  return reduce(size, 0.0f, value, [](float a, float b) { return a + b; });
}

}  // namespace tenon::cpu
