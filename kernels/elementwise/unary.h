// Functions of one number, forward and backward: the activations that a HuggingFace config may name
// (transformers.activations.ACT2FN) besides GELU's two forms, which are operations of their own.
#pragma once
#include "kernels/base/op.h"

namespace tenon {

enum class UnaryKind : uint8_t {
  identity,
  relu,
  relu6,         // min(max(x, 0), 6)
  relu_squared,  // max(x, 0)^2
  leaky_relu,    // slope 0.01 below 0
  elu,           // exp(x) - 1 below 0
  tanh,
  sigmoid,
  silu,          // x sigmoid(x)
  quick_gelu,    // x sigmoid(1.702 x)
  clipped_gelu,  // GELU's erf form, kept within -10 ... 10
  mish,          // x tanh(softplus(x))
  hardswish,     // x relu6(x + 3) / 6
  laplace,       // the normal distribution of mean 0.707107, deviation 0.282095 (MEGA, Ma et al. 2022)
  sqrt_softplus,
  square,
};

inline constexpr int unary_kinds = static_cast<int>(UnaryKind::square) + 1;

std::string_view to_string_view(UnaryKind kind);

// By the name in a config's "hidden_act". Throws, listing the names there are; those of GELU are not among
// them.
UnaryKind unary_kind(std::string_view hf_name);

struct Unary {
  static constexpr std::string_view name = "unary";
  static constexpr std::string_view backward = "unary_backward";

  struct Args {
    TensorView x, y;  // any shape, contiguous, equal
    UnaryKind kind = UnaryKind::identity;
  };

  static NamedViews inputs(Args& a) { return {{"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"y", &a.y}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

// dx = dy f'(x); where f bends, the slope is PyTorch's (0 at relu's 0).
struct UnaryBackward {
  static constexpr std::string_view name = "unary_backward";

  struct Args {
    TensorView dy, x, dx;  // any shape, contiguous, equal
    UnaryKind kind = UnaryKind::identity;
  };

  static NamedViews inputs(Args& a) { return {{"dy", &a.dy}, {"x", &a.x}}; }
  static NamedViews outputs(Args& a) { return {{"dx", &a.dx}}; }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.x.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7}; }
};

}  // namespace tenon
