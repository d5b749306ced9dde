// The ledger with wrong kernels on Tenon's side: they are found, and it says on which side the mistake is.
#include "models/sentiment/ledger_subject.h"

#include "kernels/base/registry.h"
#include "kernels/base/select.h"
#include "kernels/dropout_residual_layer_norm/dropout_residual_layer_norm.h"
#include "kernels/gelu/gelu.h"
#include "kernels/matmul/matmul.h"
#include "tests/catch.h"

using namespace tenon;
using namespace tenon::test;

namespace {

// The plain variant, but with its arguments changed.
template <class Op, auto change>
Variant<Op> mistaken() {
  return {.name = "mistaken",
          .device = Device::cpu,
          .priority = -1,
          .dtypes = {DType::f32},
          .run = [](const typename Op::Args& given, Stream& stream) {
            typename Op::Args args = given;
            change(args);
            for (const Entry<Op>& entry : entries<Op>())
              if (entry.variant.name == "plain" && entry.variant.device == Device::cpu)
                entry.variant.run(args, stream);
          }};
}

const Register<DropoutResidualLayerNorm> layer_norm{
    mistaken<DropoutResidualLayerNorm, [](auto& args) { args.eps = 1e-3; }>()};
const Register<GeluBackward> gelu_backward{
    mistaken<GeluBackward, [](auto& args) { args.tanh_form = !args.tanh_form; }>()};
const Register<Matmul> matmul{mistaken<Matmul, [](auto& args) {
  if (args.epilogue == Epilogue::bias_gelu) args.epilogue = Epilogue::bias_gelu_tanh;
}>()};

Ledger ledger_with(const std::string& kernel) {
  const auto folder = data_folder() / "compare";
  const Oracle oracle((folder / "unbroken.safetensors").string());
  LedgerSubject subject(folder / "run", Device::cpu, oracle.has("bert.pooler"));
  clear_forced_variants();
  force_variants(kernel);
  const Ledger ledger =
      compare(subject.model, oracle,
              oracle.batch(subject.config().vocab_size, subject.config().max_position_embeddings));
  clear_forced_variants();
  return ledger;
}

}  // namespace

TEST_CASE("a kernel with a wrong constant is found in the first operation that uses it") {
  const Ledger ledger = ledger_with("dropout_residual_layer_norm=mistaken");
  REQUIRE(ledger.first);
  CHECK(ledger.first->tensor == "bert.encoder.layer.0.attention.output.LayerNorm");
  CHECK(ledger.first->alone);
  CHECK(ledger.first->side == "tenon");
  CHECK(ledger.first->cause == "the layer norm's eps is 0.001, not 1e-12");
  CHECK(ledger.first->remaining <= ledger.first->allowed);
}

TEST_CASE("a wrong gradient is found where the backward pass first meets it") {
  const Ledger ledger = ledger_with("gelu_backward=mistaken");
  REQUIRE(ledger.first);
  CHECK(ledger.first->tensor == "grad.bert.encoder.layer.1.intermediate.dense");
  CHECK(ledger.first->side == "tenon");
  CHECK(ledger.first->cause.find("GELU in its tanh form") != std::string::npos);
  for (const LedgerRow& row : ledger.rows) CHECK(!row.forward.differs);
}

TEST_CASE("a fused kernel that is wrong where its parts are right shows in the chain alone") {
  const Ledger ledger = ledger_with("matmul=mistaken");
  REQUIRE(ledger.first);
  CHECK(ledger.first->tensor == "bert.encoder.layer.0.intermediate");
  CHECK(!ledger.first->alone);
}

TEST_CASE("with the kernels as they are nothing differs") { CHECK(!ledger_with("").first); }
