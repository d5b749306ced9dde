// What a matrix product does to an element once it is summed up.
#pragma once
#include <cstdint>

namespace tenon {

// bias_gelu is the erf form, bias_gelu_tanh the tanh form (gelu.h).
enum class Epilogue : uint8_t { none, bias, bias_gelu, bias_gelu_tanh, bias_relu, bias_tanh };

}  // namespace tenon
