// Learning rates over the steps of a run: a linear warm-up, then constant, linear or cosine decay to zero.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "kernels/base/error.h"

namespace tenon {

enum class Decay : uint8_t { constant, linear, cosine };

inline Decay parse_decay(std::string_view name) {
  if (name == "constant") return Decay::constant;
  if (name == "linear") return Decay::linear;
  if (name == "cosine") return Decay::cosine;
  fail("unknown schedule '", name, "'; use constant, linear or cosine");
}

struct Schedule {
  double lr = 1e-3;
  Decay decay = Decay::constant;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;

  // step counts from 0.
  double operator()(int64_t step) const {
    if (step < warmup_steps) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
    const auto span = static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
    const double done = std::min(1.0, static_cast<double>(step - warmup_steps) / span);
    switch (decay) {
      case Decay::constant:
        return lr;
      case Decay::linear:
        return lr * (1 - done);
      case Decay::cosine:
        return lr * 0.5 * (1 + std::cos(std::numbers::pi * done));
    }
    return lr;
  }
};

}  // namespace tenon
