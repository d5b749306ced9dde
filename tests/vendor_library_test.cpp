// A yardstick's library may be missing: Tenon starts without it, and the variant says what it lacks.
#include "kernels/base/vendor_library.h"

#include <cmath>

#include "kernels/base/registry.h"
#include "kernels/matmul/matmul.h"
#include "tests/catch.h"

using namespace tenon;

double no_such_function(double);

namespace {

struct Mathematics : VendorLibrary {
  Mathematics() : VendorLibrary("libm.so.6") {}
  TENON_VENDOR_FUNCTION(lround);
};
struct Lacking : VendorLibrary {
  Lacking() : VendorLibrary("libm.so.6") {}
  TENON_VENDOR_FUNCTION(no_such_function);
};
struct Nowhere : VendorLibrary {
  Nowhere() : VendorLibrary("libnowhere.so.1") {}
  TENON_VENDOR_FUNCTION(lround);
};

}  // namespace

TEST_CASE("a vendor's function is called from the library that has it") {
  const Mathematics library;
  REQUIRE(library.missing() == "");
  CHECK(library.lround(2.5) == 3);
}

TEST_CASE("a library that is missing, or lacks a function, is named") {
  CHECK(Nowhere().missing() == "libnowhere.so.1 is not found; LD_LIBRARY_PATH may name its folder");
  CHECK(Nowhere().lround == nullptr);
  CHECK(Lacking().missing() == "libm.so.6 has no no_such_function");
}

// In a build for cuda, and it needs no GPU.
TEST_CASE("NVIDIA's yardsticks find every function that they call, or say which library is missing") {
  for (const AnyOperation* operation : operations())
    for (size_t v = 0; v < operation->variant_count(); ++v) {
      const auto& variant = operation->variant(v);
      if (variant.device != Device::cuda || (variant.name != "cublaslt" && variant.name != "cudnn")) continue;
      INFO(operation->name() << "/" << variant.name);
      const std::string why = operation->supports(v, operation->args(DType::bf16, 0));
      CHECK(why.find(" has no ") == std::string::npos);
    }
}
