// The Gru module on the tape against torch.nn.GRU, and the dropout between its layers.
#include <map>

#include "engine/io/load.h"
#include "engine/nn/gru.h"
#include "engine/random.h"
#include "tests/tensors.h"

using namespace tenon;
using namespace tenon::test;

namespace {

Gru load_gru(const TensorFile& file, int layers, bool bidirectional, double dropout, DType dtype) {
  Gru gru(24, 16, layers, bidirectional, dropout, "rnn");
  load_parameters(named_parameters(gru), file);
  convert_to(gru, dtype);
  set_requires_grad(gru, true);
  return gru;
}

void check_parity(const std::string& name, int layers, int64_t directions, DType dtype) {
  const TensorFile file = golden_file(name);
  const auto reference = [&](const std::string& tensor) { return golden_tensor(file, tensor, dtype); };
  Gru gru = load_gru(file, layers, directions == 2, 0, dtype);
  const Tensor x = leaf(reference("x").clone());
  const auto [y, h_n] = gru(x, golden_batch(file));
  Tensor loss = sum(multiply(y, reference("grad_output")));
  for (int64_t i = 0; i < layers; ++i) {
    const int64_t begin = i * directions, end = begin + directions;
    const Tensor& states = h_n[static_cast<size_t>(i)];
    CHECK(error(states, golden_tensor(file, "f64.h_n", DType::f64).rows(begin, end)) <= parity(dtype));
    loss = add(loss, sum(multiply(states, reference("grad_h_n").rows(begin, end))));
  }
  CHECK(error(y.view(), golden(file, "f64.output")) <= parity(dtype));
  loss.backward();
  CHECK(error(x.grad().view(), golden(file, "f64.grad.x")) <= parity(dtype));
  for (const auto& [parameter_name, parameter] : named_parameters(gru)) {
    INFO(parameter_name);
    CHECK(error(parameter->grad().view(), golden(file, "f64.grad." + parameter_name)) <= parity(dtype));
  }
}

}  // namespace

TEST_CASE("two bidirectional layers equal torch.nn.GRU in output, states and gradients") {
  check_parity("gru_bidirectional", 2, 2, DType::f64);
  check_parity("gru_bidirectional", 2, 2, DType::f32);
}

TEST_CASE("one layer of one direction equals torch.nn.GRU in output, states and gradients") {
  check_parity("gru_unidirectional", 1, 1, DType::f64);
  check_parity("gru_unidirectional", 1, 1, DType::f32);
}

TEST_CASE("dropout between the layers is the mask of rnn.dropout_l0, in training only") {
  const TensorFile file = golden_file("gru_bidirectional");
  const PackedBatch batch = golden_batch(file);
  const Tensor x = golden_tensor(file, "x", DType::f64);
  Gru gru = load_gru(file, 2, true, 0.25, DType::f64);
  set_random_state(42, 7);

  std::map<std::string, Tensor> weights;
  for (const auto& [name, parameter] : named_parameters(gru)) weights[name] = *parameter;
  const auto layer = [&](const Tensor& input, const std::string& suffix) {
    std::vector<GruWeights> directions;
    for (const std::string& each : {suffix, suffix + "_reverse"})
      directions.push_back({weights.at("weight_ih_" + each), weights.at("weight_hh_" + each),
                            weights.at("bias_ih_" + each), weights.at("bias_hh_" + each)});
    return gru_sequence(input, batch.cu_seqlens, batch.max_seqlen, directions).y;
  };
  const Tensor below = layer(x, "l0");

  Tensor mask(below.shape(), DType::f64);  // 0 or 1 / (1 - p)
  const RandomKey key{42, 7, operation_key("rnn.dropout_l0")};
  const auto rows = batch.row_keys.to_vector<int64_t>();
  const int64_t columns = mask.size(1);
  for (int64_t i = 0; i < mask.size(); ++i) {
    const uint64_t at = static_cast<uint64_t>(rows[static_cast<size_t>(i / columns)] + i % columns);
    static_cast<double*>(mask.data())[i] = key(at) >= (1u << 30) ? 4.0 / 3 : 0;
  }
  CHECK(error(gru(x, batch).y, layer(multiply(below, mask), "l1")) < 1e-14);
  gru.set_training(false);
  CHECK(same_bits(gru(x, batch).y, layer(below, "l1")));
}
