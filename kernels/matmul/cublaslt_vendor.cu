// The matrix product by NVIDIA's cuBLASLt: a yardstick, never a default. What its library promises of bits is
// not what Tenon does, so it counts as neither deterministic nor batch-invariant. Row-major matrices are the
// transposes of its column-major ones: it is asked for y^T = op(b)^T op(a)^T.
#include <cublasLt.h>

#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/base/vendor_library.h"
#include "kernels/matmul/device.h"

namespace tenon {
namespace {

constexpr size_t workspace_bytes = size_t{32} << 20;  // what NVIDIA recommends for sm_90

struct Library : VendorLibrary {
  Library() : VendorLibrary("libcublasLt.so." TENON_STRING(CUBLAS_VER_MAJOR)) {}

  TENON_VENDOR_FUNCTION(cublasLtCreate);
  TENON_VENDOR_FUNCTION(cublasLtGetStatusString);
  TENON_VENDOR_FUNCTION(cublasLtMatmul);
  TENON_VENDOR_FUNCTION(cublasLtMatmulAlgoGetHeuristic);
  TENON_VENDOR_FUNCTION(cublasLtMatmulDescCreate);
  TENON_VENDOR_FUNCTION(cublasLtMatmulDescDestroy);
  TENON_VENDOR_FUNCTION(cublasLtMatmulDescSetAttribute);
  TENON_VENDOR_FUNCTION(cublasLtMatmulPreferenceCreate);
  TENON_VENDOR_FUNCTION(cublasLtMatmulPreferenceDestroy);
  TENON_VENDOR_FUNCTION(cublasLtMatmulPreferenceSetAttribute);
  TENON_VENDOR_FUNCTION(cublasLtMatrixLayoutCreate);
  TENON_VENDOR_FUNCTION(cublasLtMatrixLayoutDestroy);
};

const Library& library() {
  static const Library opened;
  return opened;
}

void check_cublas(cublasStatus_t status, std::string_view call) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", call, ": ", library().cublasLtGetStatusString(status));
}

// A descriptor of the library: created, given attributes, and destroyed.
template <class Handle, auto create, auto destroy>
class Descriptor {
 public:
  template <class... Arguments>
  explicit Descriptor(Arguments... arguments) {
    check_cublas((library().*create)(&handle_, arguments...), "creating a descriptor");
  }
  ~Descriptor() { (library().*destroy)(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  template <class Set, class Attribute, class Value>
  void set(Set set, Attribute attribute, const Value& value) {
    check_cublas(set(handle_, attribute, &value, sizeof value), "setting an attribute");
  }
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Operation =
    Descriptor<cublasLtMatmulDesc_t, &Library::cublasLtMatmulDescCreate, &Library::cublasLtMatmulDescDestroy>;
using Layout = Descriptor<cublasLtMatrixLayout_t, &Library::cublasLtMatrixLayoutCreate,
                          &Library::cublasLtMatrixLayoutDestroy>;
using Preference = Descriptor<cublasLtMatmulPreference_t, &Library::cublasLtMatmulPreferenceCreate,
                              &Library::cublasLtMatmulPreferenceDestroy>;

cublasLtHandle_t library_handle() {
  static const cublasLtHandle_t handle = [] {
    cublasLtHandle_t created = nullptr;
    check_cublas(library().cublasLtCreate(&created), "cublasLtCreate");
    return created;
  }();
  return handle;
}

cudaDataType_t type_of(DType dtype) { return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF; }

// The transpose of x, as it lies in memory.
Layout layout_of(const TensorView& x) {
  const auto stride = std::max(x.stride[0], x.shape[1]);  // a single row may state any
  return Layout(type_of(x.dtype), static_cast<uint64_t>(x.shape[1]), static_cast<uint64_t>(x.shape[0]),
                int64_t{stride});
}

uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return static_cast<uint32_t>(std::min<uintptr_t>(address & -address, 256));
}

cublasLtEpilogue_t epilogue_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::bias_relu:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::bias_gelu_tanh:
      return CUBLASLT_EPILOGUE_GELU_BIAS;
    default:
      return CUBLASLT_EPILOGUE_DEFAULT;
  }
}

struct Call {
  const Matmul::Args& args;
  const TensorView& c;  // what is added: y, or the residual
  float beta;
  Operation operation;
  Layout a, b, c_layout, y;

  explicit Call(const Matmul::Args& args)
      : args(args),
        c(args.residual.defined() ? args.residual : args.y),
        beta(args.residual.defined() ? 1.0f : static_cast<float>(args.beta)),
        operation(args.tf32 && args.y.dtype == DType::f32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                  CUDA_R_32F),
        a(layout_of(args.a)),
        b(layout_of(args.b)),
        c_layout(layout_of(c)),
        y(layout_of(args.y)) {
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
      operation.set(library().cublasLtMatmulDescSetAttribute, attribute, value);
    };
    const auto form = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    set(CUBLASLT_MATMUL_DESC_TRANSA, form(args.transpose_b));
    set(CUBLASLT_MATMUL_DESC_TRANSB, form(args.transpose_a));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(args.epilogue));
    if (takes_bias(args.epilogue)) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias.data);
  }

  // The library's own choice.
  cublasLtMatmulAlgo_t algorithm() const {
    Preference preference;
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      preference.set(library().cublasLtMatmulPreferenceSetAttribute, attribute, value);
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(args.b.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(args.a.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(c.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(args.y.data));
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;
    check_cublas(library().cublasLtMatmulAlgoGetHeuristic(library_handle(), operation, b, a, c_layout, y,
                                                          preference, 1, &found, &count),
                 "cublasLtMatmulAlgoGetHeuristic");
    check(count > 0, "cuBLASLt: there is no algorithm for the product of ", args.a, " and ", args.b);
    return found.algo;
  }
};

std::string supports(const Matmul::Args& args) {
  if (!library().missing().empty()) return library().missing();
  const auto [m, n, k] = Matmul::sizes(args);
  if (m == 0 || n == 0 || k == 0) return "it takes no empty matrix";
  switch (args.epilogue) {
    case Epilogue::none:
    case Epilogue::bias:
      break;
    case Epilogue::bias_relu:
      if (args.residual.defined()) return "it adds before the activation";
      break;
    case Epilogue::bias_gelu_tanh:
      if (args.y.dtype == DType::f32) return "its GELU is not exact in f32";
      if (args.residual.defined()) return "it adds before the activation";
      break;
    case Epilogue::bias_gelu:
    case Epilogue::dgelu:
    case Epilogue::dgelu_tanh:
      return "it has the tanh form of GELU only, and that not as a gradient";
    case Epilogue::bias_tanh:
      return "it has no tanh";
  }
  if (args.pre_activation.defined()) return "it does not keep the value before the activation";
  if (args.residual.defined() && args.beta != 0) return "it adds one matrix only";
  const bool aligned = has_aligned_rows({&args.a, &args.b, &args.y, &args.residual});
  return aligned ? "" : "rows must start at multiples of 16 bytes";
}

void run(const Matmul::Args& args, Stream& stream) {
  const Call call(args);
  const cublasLtMatmulAlgo_t algorithm = call.algorithm();
  const Buffer workspace(Device::cuda, workspace_bytes);
  const float alpha = 1;
  check_cublas(library().cublasLtMatmul(library_handle(), call.operation, &alpha, args.b.data, call.b,
                                        args.a.data, call.a, &call.beta, call.c.data, call.c_layout,
                                        args.y.data, call.y, &algorithm, workspace.data(), workspace_bytes,
                                        static_cast<cudaStream_t>(stream.handle())),
               "cublasLtMatmul");
}

const Register<Matmul> registered{{.name = "cublaslt",
                                   .device = kernel_device,
                                   .priority = -1,
                                   .dtypes = {DType::f32, DType::bf16},
                                   .deterministic = false,
                                   .batch_invariant = false,
                                   .workspace = [](const Matmul::Args&) { return workspace_bytes; },
                                   .supports = supports,
                                   .run = run}};

}  // namespace
}  // namespace tenon
