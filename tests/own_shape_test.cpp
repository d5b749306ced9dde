// A shape of one's own is a case like those of the contract: it has a reference, and every variant of the CPU
// gets it right.
#include "kernels/base/verify.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

// Small sizes, as many as the form has, so that no two of them are equal.
Extents small(std::string_view form) {
  Extents extents;
  for (int64_t size : {3, 20, 2, 8}) {
    extents.push_back(size);
    if (static_cast<int64_t>(extents.size()) > std::count(form.begin(), form.end(), 'x')) break;
  }
  return extents;
}

}  // namespace

TEST_CASE("every operation that takes shapes has a reference of them, which the variants of the CPU meet") {
  int judged = 0;
  for (const AnyOperation* operation : operations()) {
    if (shape_form(*operation).empty()) continue;
    const DType dtype = operation->dtypes().front();
    const AnyCase of = case_of(*operation, dtype, small(shape_form(*operation)));
    CHECK(of.name == to_string(small(shape_form(*operation))));
    const Verifier verifier(*operation, dtype, of, 1);
    for (size_t i = 0; i < operation->variant_count(); ++i) {
      if (operation->variant(i).device != Device::cpu) continue;
      if (!operation->supports(i, verifier.inputs().args()).empty()) continue;
      INFO(operation->name() << "=" << operation->variant(i).name << " of " << of.name);
      CHECK(verifier.judge(i, Device::cpu) == "");
      ++judged;
    }
  }
  CHECK(judged > 60);
}

TEST_CASE("a shape that an operation does not take is refused by its name and form") {
  const AnyOperation& layer_norm = *find_operation("layer_norm");
  CHECK_THROWS_WITH(case_of(layer_norm, DType::f32, {8}), "layer_norm takes a shape ROWSxCOLUMNS, not 8");
  CHECK_THROWS_WITH(case_of(layer_norm, DType::f32, {8, 8, 8}),
                    "layer_norm takes a shape ROWSxCOLUMNS, not 8x8x8");
  CHECK_THROWS_WITH(case_of(layer_norm, DType::f32, {8, 0}),
                    Catch::StartsWith("layer_norm takes a shape ROWSxCOLUMNS of sizes from 1 to "));
}
