#include "engine/ops/support.h"
#include "engine/precision.h"
#include "kernels/elementwise/unary.h"
#include "kernels/gelu/gelu.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/packed.h"
#include "kernels/sum/sum.h"

namespace tenon {
namespace {

Epilogue epilogue_of(const Tensor& bias, Activation activation) {
  if (!bias.defined()) return Epilogue::none;
  switch (activation) {
    case Activation::none:
      return Epilogue::bias;
    case Activation::gelu:
      return Epilogue::bias_gelu;
    case Activation::gelu_tanh:
      return Epilogue::bias_gelu_tanh;
    case Activation::relu:
      return Epilogue::bias_relu;
    case Activation::tanh:
      return Epilogue::bias_tanh;
  }
  return Epilogue::none;
}

bool is_gelu(Activation activation) {
  return activation == Activation::gelu || activation == Activation::gelu_tanh;
}

// The gradient before the activation, from the one after it.
Tensor through_activation(Activation activation, const Tensor& dy, const Tensor& pre) {
  if (activation == Activation::none) return dy;
  Tensor dx = empty_like(dy);
  if (is_gelu(activation))
    run<GeluBackward>({dy.view(), pre.view(), dx.view(), activation == Activation::gelu_tanh}, stream_of(dy));
  else
    run<UnaryBackward>({dy.view(), pre.view(), dx.view(),
                        activation == Activation::relu ? UnaryKind::relu : UnaryKind::tanh},
                       stream_of(dy));
  return dx;
}

Tensor sum_of_rows(const Tensor& x) {
  Tensor y({x.size(1)}, x.dtype(), x.device());
  run<SumRows>({x.view(), y.view()}, stream_of(x));
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  check_matrix("matmul", "a", a);
  check_matrix("matmul", "b", b);
  check(a.size(transpose_a ? 0 : 1) == b.size(transpose_b ? 1 : 0), "matmul: the shapes ", a.shape(), " and ",
        b.shape(), " do not fit");
  Tensor y({a.size(transpose_a ? 1 : 0), b.size(transpose_b ? 0 : 1)}, a.dtype(), a.device());
  run<Matmul>({.a = a.view(),
               .b = b.view(),
               .y = y.view(),
               .transpose_a = transpose_a,
               .transpose_b = transpose_b,
               .tf32 = precision() == Precision::tf32},
              stream_of(a));
  const bool da = needs_grad({a}), db = needs_grad({b});
  return record(
      "matmul", y, {a, b}, [=, a = a.detach(), b = b.detach()](const Tensor& dy) -> std::vector<Tensor> {
        std::vector<Tensor> grads(2);
        if (da)
          grads[0] = transpose_a ? matmul(b, dy, transpose_b, true) : matmul(dy, b, false, !transpose_b);
        if (db)
          grads[1] = transpose_b ? matmul(dy, a, true, transpose_a) : matmul(a, dy, !transpose_a, false);
        return grads;
      });
}

Tensor pack_weight(const Tensor& weight) {
  check_matrix("pack_weight", "weight", weight);
  check(weight.device() == Device::cpu, "pack_weight: the packed form is the cpu's, but the weight is on ",
        weight.device());
  const int64_t out = weight.size(0), in = weight.size(1);
  Tensor packed({static_cast<int64_t>(packed_bytes(in, out, weight.dtype()))}, DType::u8, weight.device());
  dispatch<float, bf16>(weight.dtype(), [&]<class T>() {
    pack_b(static_cast<const T*>(weight.data()), in, /*transpose_b=*/true, in, out,
           static_cast<float*>(packed.data()));
  });
  return packed;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation,
              const Tensor& packed) {
  check_matrix("linear", "x", x);
  check_matrix("linear", "weight", weight);
  check(x.size(1) == weight.size(1), "linear: x ", x.shape(), " does not fit the weight ", weight.shape());
  if (bias.defined()) check_vector("linear", "bias", bias, weight.size(0));
  check(bias.defined() || activation == Activation::none, "linear: an activation needs a bias");
  // The product applies the activation, unless somebody asks for a GELU of his own.
  const bool apart = is_gelu(activation) && is_forced(Gelu::name);
  const bool keep = activation != Activation::none && !apart && needs_grad({x, weight, bias});
  Tensor y({x.size(0), weight.size(0)}, x.dtype(), x.device()), pre = keep ? empty_like(y) : Tensor();
  run<Matmul>({.a = x.view(),
               .b = weight.view(),
               .b_packed = packed.view(),
               .bias = bias.view(),
               .y = y.view(),
               .pre_activation = pre.view(),
               .transpose_b = true,
               .epilogue = epilogue_of(bias, apart ? Activation::none : activation),
               .tf32 = precision() == Precision::tf32},
              stream_of(x));
  if (apart) {
    pre = std::exchange(y, empty_like(y));
    run<Gelu>({pre.view(), y.view(), activation == Activation::gelu_tanh}, stream_of(x));
  }
  const bool dx = needs_grad({x}), dweight = needs_grad({weight}), dbias = needs_grad({bias});
  return record("linear", y, {x, weight, bias},
                [=, x = x.detach(), weight = weight.detach()](const Tensor& dy) -> std::vector<Tensor> {
                  const Tensor dpre = through_activation(activation, dy, pre);
                  return {dx ? matmul(dpre, weight) : Tensor(), dweight ? matmul(dpre, x, true) : Tensor(),
                          dbias ? sum_of_rows(dpre) : Tensor()};
                });
}

}  // namespace tenon
