// The packed product as variants of Matmul, one for each instruction set. They are filed here, in baseline
// code, and not in the files for the instruction sets, since the registry's inline functions must not be
// compiled for those.
#include "kernels/base/registry.h"
#include "kernels/cpu/processor.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/packed.h"

namespace tenon {
namespace {

template <class T, const MicroKernelsOf<T>& kernels>
void run(const Matmul::Args& a, Stream&) {
  const auto [m, n, k] = Matmul::sizes(a);
  const size_t packed = packed_bytes(k, n, dtype_of<T>);
  check(!a.b_packed.defined() || a.b_packed.bytes() == packed, "matmul: the packed weights take ",
        a.b_packed.bytes(), " bytes, but a ", k, " x ", n, " matrix takes ", packed);
  packed_matmul(PackedProduct<T>{.m = m,
                                 .n = n,
                                 .k = k,
                                 .a = a.a.as<T>(),
                                 .a_stride = a.a.stride[0],
                                 .transpose_a = a.transpose_a,
                                 .b_packed = a.b_packed.as<float>(),
                                 .b = a.b.as<T>(),
                                 .b_stride = a.b.stride[0],
                                 .transpose_b = a.transpose_b,
                                 .y = a.y.as<T>(),
                                 .y_stride = a.y.stride[0],
                                 .beta = static_cast<float>(a.beta),
                                 .epilogue = a.epilogue,
                                 .bias = a.bias.as<T>(),
                                 .residual = a.residual.as<T>(),
                                 .residual_stride = a.residual.stride[0],
                                 .pre_activation = a.pre_activation.as<T>(),
                                 .pre_activation_stride = a.pre_activation.stride[0],
                                 .kernels = &kernels});
}

template <class T>
size_t workspace(const Matmul::Args& a) {
  const auto [m, n, k] = Matmul::sizes(a);
  return packed_workspace<T>(m, n, k, a.b_packed.defined());
}

template <class T, const MicroKernelsOf<T>& kernels>
Variant<Matmul> variant(std::string_view name, int priority, bool (*available)()) {
  return {.name = name,
          .device = Device::cpu,
          .priority = priority,
          .dtypes = {dtype_of<T>},
          .workspace = workspace<T>,
          .available = available,
          .run = run<T, kernels>};
}

const Register<Matmul> avx512(variant<float, avx512_micro_kernels>("packed_avx512", 30, has_avx512));
const Register<Matmul> avx2(variant<float, avx2_micro_kernels>("packed_avx2", 20, has_avx2));
const Register<Matmul> portable(variant<float, portable_micro_kernels>("packed_portable", 10, nullptr));

const Register<Matmul> bf16_dots(variant<bf16, bf16_dot_micro_kernels>("bf16_dots",
                                                                       has_fast_bf16_dots() ? 40 : 25,
                                                                       has_avx512_bf16));
const Register<Matmul> bf16_avx512(variant<bf16, avx512_bf16_micro_kernels>("bf16_avx512", 30, has_avx512));
const Register<Matmul> bf16_avx2(variant<bf16, avx2_bf16_micro_kernels>("bf16_avx2", 20, has_avx2));
const Register<Matmul> bf16_portable(variant<bf16, portable_bf16_micro_kernels>("bf16_portable", 10,
                                                                                nullptr));

}  // namespace
}  // namespace tenon
