// Matrix product with what usually follows it (torch.nn.Linear is transpose_b with b = weight (out, in)):
//   z = beta * y + op(a) op(b) + bias,  y = activation(z) + residual,  op(x) = x or its transpose
// Its gradients are products, too: da = dz op(b)^T, db = op(a)^T dz, dbias = the sums of dz's columns
// (SumRows). Where a is itself the output of a GELU, the epilogue dgelu takes da through it on the way.
#pragma once
#include "kernels/base/op.h"
#include "kernels/matmul/epilogue.h"

namespace tenon {

struct Matmul {
  static constexpr std::string_view name = "matmul";
  static constexpr std::string_view backward = "matmul";

  // Floating views have one element type. Rows of every matrix may lie apart.
  struct Args {
    TensorView a;               // (M, K), or (K, M) if transpose_a
    TensorView b;               // (K, N), or (N, K) if transpose_b
    TensorView b_packed;        // u8, optional: op(b) as pack_b() wrote it (packed.h); spares the packing
    TensorView bias;            // (N), where takes_bias(epilogue)
    TensorView residual;        // (M, N), optional
    TensorView y;               // (M, N)
    TensorView pre_activation;  // (M, N), optional: z, which the gradient of the activation needs. An
                                // epilogue that is such a gradient reads it: y = z gelu'(pre_activation)
    bool transpose_a = false;
    bool transpose_b = false;
    Epilogue epilogue = Epilogue::none;
    double beta = 0;    // 1 adds to what is in y; with 0 y is not read
    bool tf32 = false;  // f32 factors may be rounded by round_to_tf32() (tf32.h); sums stay fp32
  };

  static NamedViews inputs(Args& a);
  static NamedViews outputs(Args& a);
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.y.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 3e-7, .absolute = 5e-7}; }

  struct Sizes {
    int64_t m, n, k;
  };
  static Sizes sizes(const Args& a);  // throws if the shapes do not fit together
};

}  // namespace tenon
