// What a matrix product does to an element once it is summed up.
#pragma once
#include <cstdint>

namespace tenon {

// bias_gelu is the erf form, bias_gelu_tanh the tanh form (gelu.h). dgelu and dgelu_tanh are for the gradient
// through them: they multiply by the derivative at pre_activation, which is an input then, and add no bias.
enum class Epilogue : uint8_t {
  none,
  bias,
  bias_gelu,
  bias_gelu_tanh,
  bias_relu,
  bias_tanh,
  dgelu,
  dgelu_tanh
};

constexpr bool is_gradient(Epilogue epilogue) {
  return epilogue == Epilogue::dgelu || epilogue == Epilogue::dgelu_tanh;
}
constexpr bool takes_bias(Epilogue epilogue) { return epilogue != Epilogue::none && !is_gradient(epilogue); }

}  // namespace tenon
