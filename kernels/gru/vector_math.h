// The functions that the compiler turns into vector instructions, for the fast variants.
#pragma once
#include "kernels/cpu/math.h"

namespace tenon::gru {

struct VectorMath {
  static float sigmoid(float x) { return cpu::sigmoid(x); }
  static float tanh(float x) { return cpu::tanh(x); }
};

}  // namespace tenon::gru
