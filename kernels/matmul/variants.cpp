// The packed product as variants of Matmul, one for each instruction set. They are filed here, in baseline
// code, and not in the files for the instruction sets, since the registry's inline functions must not be
// compiled for those.
#include "kernels/base/registry.h"
#include "kernels/cpu/processor.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/packed.h"

namespace tenon {
namespace {

template <const MicroKernels& kernels>
void run(const Matmul::Args& a, Stream&) {
  const auto [m, n, k] = Matmul::sizes(a);
  check(!a.b_packed.defined() || a.b_packed.bytes() == packed_bytes(k, n), "matmul: the packed weights take ",
        a.b_packed.bytes(), " bytes, but a ", k, " x ", n, " matrix takes ", packed_bytes(k, n));
  packed_matmul({.m = m,
                 .n = n,
                 .k = k,
                 .a = a.a.as<float>(),
                 .a_stride = a.a.stride[0],
                 .transpose_a = a.transpose_a,
                 .b_packed = a.b_packed.as<float>(),
                 .b = a.b.as<float>(),
                 .b_stride = a.b.stride[0],
                 .transpose_b = a.transpose_b,
                 .y = a.y.as<float>(),
                 .y_stride = a.y.stride[0],
                 .beta = static_cast<float>(a.beta),
                 .epilogue = a.epilogue,
                 .bias = a.bias.as<float>(),
                 .residual = a.residual.as<float>(),
                 .residual_stride = a.residual.stride[0],
                 .pre_activation = a.pre_activation.as<float>(),
                 .pre_activation_stride = a.pre_activation.stride[0],
                 .kernels = &kernels});
}

size_t workspace(const Matmul::Args& a) {
  const auto [m, n, k] = Matmul::sizes(a);
  return packed_workspace(m, n, k, a.b_packed.defined());
}

Variant<Matmul> variant(std::string_view name, int priority, bool (*available)(),
                        void (*run)(const Matmul::Args&, Stream&)) {
  return {.name = name,
          .device = Device::cpu,
          .priority = priority,
          .dtypes = {DType::f32},
          .workspace = workspace,
          .available = available,
          .run = run};
}

const Register<Matmul> avx512(variant("packed_avx512", 30, has_avx512, run<avx512_micro_kernels>));
const Register<Matmul> avx2(variant("packed_avx2", 20, has_avx2, run<avx2_micro_kernels>));
const Register<Matmul> portable(variant("packed_portable", 10, nullptr, run<portable_micro_kernels>));

}  // namespace
}  // namespace tenon
