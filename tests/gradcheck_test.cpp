// backward() against central differences in fp64, for every operation that declares a gradient. The list of
// checks is held against the registry: an operation without a check fails, and so does a check which does not
// run its operation.
#include <map>

#include "engine/autograd.h"
#include "engine/ops/support.h"
#include "kernels/gru_cell/gru_cell.h"
#include "tests/tensors.h"

using namespace tenon;
using namespace tenon::test;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

double value(const Function& f, const std::vector<Tensor>& inputs) {
  const NoGrad no_grad;
  return weighted_sum(f(inputs)).item();
}

// The slope for each element, by a step of h to either side.
Tensor central_differences(const Function& f, const std::vector<Tensor>& inputs, size_t i, double h) {
  Tensor slopes(inputs[i].shape(), DType::f64);
  auto* x = static_cast<double*>(inputs[i].data());
  for (int64_t j = 0; j < slopes.size(); ++j) {
    const double before = x[j];
    x[j] = before + h;
    const double above = value(f, inputs);
    x[j] = before - h;
    const double below = value(f, inputs);
    x[j] = before;
    static_cast<double*>(slopes.data())[j] = (above - below) / (2 * h);
  }
  return slopes;
}

void gradcheck(const Function& f, std::vector<Tensor> inputs, double h = 1e-5) {
  for (Tensor& input : inputs) input.set_requires_grad(true);
  weighted_sum(f(inputs)).backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    INFO("input " << i << " of shape " << to_string(inputs[i].shape()));
    const Tensor slopes = central_differences(f, inputs, i, h);
    CHECK(error(slopes, Tensor::zeros(slopes.shape(), DType::f64)) > 0);  // a function that sees its input
    CHECK(error(inputs[i].grad(), slopes) < 1e-8);
  }
}

const Tensor cu_seqlens = Tensor::from<int32_t>({0, 3, 4, 4, 9});  // one of one row, one of none
const PackedBatch batch = PackedBatch::of_lengths({3, 1, 0, 5});
const Dropout half{0.5, {1, 2, 3}};

Tensor x(Shape shape, uint32_t stream = 1) { return random_tensor(shape, stream); }

void check_linear() {
  for (const Activation each :
       {Activation::none, Activation::gelu, Activation::gelu_tanh, Activation::relu, Activation::tanh})
    gradcheck([each](const auto& in) { return linear(in[0], in[1], in[2], each); },
              {x({5, 3}), x({4, 3}, 2), x({4}, 3)});
  gradcheck([](const auto& in) { return linear(in[0], in[1], {}); }, {x({5, 3}), x({4, 3}, 2)});
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      gradcheck([=](const auto& in) { return matmul(in[0], in[1], ta, tb); },
                {ta ? x({3, 5}) : x({5, 3}), tb ? x({4, 3}, 2) : x({3, 4}, 2)});
}

void check_attention() {
  for (const Dropout& dropout : {Dropout(), half})
    gradcheck([&](const auto& in) { return attention(in[0], in[1], in[2], cu_seqlens, 2, 5, 0.6, dropout); },
              {x({9, 6}), x({9, 6}, 2), x({9, 6}, 3)});
}

void check_dropout_residual_layer_norm() {
  for (const Dropout& dropout : {Dropout(), half})
    gradcheck(
        [&](const auto& in) {
          return dropout_residual_layer_norm(in[0], in[1], in[2], in[3], 1e-5, batch.row_keys, dropout);
        },
        {x({9, 6}), x({9, 6}, 2), x({6}, 3), x({6}, 4)});
}

void check_embedding() {
  const Tensor ids = Tensor::from<int32_t>({4, 1, 1, 0, 3, 2, 4, 4, 0});
  const Tensor types = Tensor::from<int32_t>({0, 1, 0, 1, 1, 0, 0, 1, 0});
  const std::vector<Tensor> tables{x({5, 6}), x({5, 6}, 2), x({2, 6}, 3), x({6}, 4), x({6}, 5)};
  gradcheck(
      [&](const auto& in) {
        return embedding(ids, batch.positions, types, in[0], in[1], in[2], in[3], in[4], 1e-5);
      },
      tables);
  const Tensor first_type = x({1, 6}, 3);  // without types, a second one would get no gradient
  gradcheck(
      [&](const auto& in) {
        return embedding(ids, batch.positions, {}, in[0], in[1], first_type, in[2], in[3], 1e-5);
      },
      {x({5, 6}), x({5, 6}, 2), x({6}, 4), x({6}, 5)});
}

enum class Output { y, h_n, both };

Tensor gru(const std::vector<Tensor>& in, size_t directions, bool biases, Output wanted) {
  std::vector<GruWeights> weights;
  for (size_t d = 0, next = 1; d < directions; ++d) {
    GruWeights& w = weights.emplace_back(GruWeights{in[next], in[next + 1], {}, {}});
    if (biases) w.bias_ih = in[next + 2], w.bias_hh = in[next + 3];
    next += biases ? 4 : 2;
  }
  const GruOutput out = gru_sequence(in[0], cu_seqlens, 5, weights);
  if (wanted == Output::y) return out.y;
  if (wanted == Output::h_n) return out.h_n;
  return add(weighted_sum(out.y), weighted_sum(out.h_n));
}

void check_gru() {
  for (const size_t directions : {1, 2})
    for (const bool biases : {true, false})
      for (const Output wanted : {Output::y, Output::h_n, Output::both}) {
        std::vector<Tensor> inputs{x({9, 3})};
        for (uint32_t d = 0; d < directions; ++d) {
          inputs.push_back(x({12, 3}, 10 + d));
          inputs.push_back(x({12, 4}, 20 + d));
          if (biases) inputs.insert(inputs.end(), {x({12}, 30 + d), x({12}, 40 + d)});
        }
        INFO(directions << " directions, output " << static_cast<int>(wanted));
        gradcheck([&](const auto& in) { return gru(in, directions, biases, wanted); }, inputs);
      }
}

// The engine runs whole sequences; here the operation of one step stands alone.
Tensor gru_cell(const Tensor& x_gates, const Tensor& h_gates, const Tensor& h) {
  Tensor next = empty_like(h);
  run<GruCell>({x_gates.view(), h_gates.view(), h.view(), next.view()}, stream_of(h));
  return record(
      "gru_cell", next, {x_gates, h_gates, h},
      [a = x_gates.detach(), b = h_gates.detach(), h = h.detach()](const Tensor& dy) -> std::vector<Tensor> {
        Tensor da = empty_like(a), db = empty_like(b), dh = empty_like(h);
        run<GruCellBackward>({dy.view(), a.view(), b.view(), h.view(), da.view(), db.view(), dh.view()},
                             stream_of(h));
        return {da, db, dh};
      });
}

void check_unary() {
  for (const char* name : {"linear", "relu", "relu6", "relu2", "leaky_relu", "elu", "tanh", "sigmoid", "silu",
                           "quick_gelu", "gelu_10", "mish", "hardswish", "laplace", "sqrtsoftplus"}) {
    INFO(name);
    gradcheck([name](const auto& in) { return activation(in[0], name); }, {scale(x({4, 7}), 4)});
  }
}

void check_bce() {
  const Tensor labels = Tensor::from<double>({0, 1, 0.25, 1, 0, 0.5});
  gradcheck([&](const auto& in) { return bce_with_logits(in[0], labels); }, {scale(x({6}), 5)});
}

void check_cross_entropy() {
  const Tensor labels = Tensor::from<int32_t>({2, 0, 1, 2});
  gradcheck([&](const auto& in) { return cross_entropy(in[0], labels); }, {scale(x({4, 3}), 3)});
}

void check_gather_rows() {
  const Tensor index = Tensor::from<int32_t>({2, 0, 2, 3, 1});
  gradcheck([&](const auto& in) { return gather_rows(in[0], index); }, {x({4, 3})});
}

// Every number on the way is exact in fp32, so that the differences are.
void check_cast() {
  const Tensor coarse = Tensor::from<double>({0.5, -1.25, 3, 0});
  gradcheck([](const auto& in) { return cast(cast(in[0], DType::f32), DType::f64); }, {coarse}, 0.25);
}

void check_axpby() {
  gradcheck([](const auto& in) { return add(in[0], in[1]); }, {x({3, 2}), x({3, 2}, 2)});
  gradcheck([](const auto& in) { return subtract(in[0], in[1]); }, {x({3, 2}), x({3, 2}, 2)});
  gradcheck([](const auto& in) { return scale(in[0], -2.5); }, {x({3, 2})});
}

// By the name of the operation.
const std::map<std::string_view, std::function<void()>> checks = {
    {"matmul", check_linear},
    {"attention", check_attention},
    {"dropout_residual_layer_norm", check_dropout_residual_layer_norm},
    {"embedding", check_embedding},
    {"gru_sequence", check_gru},
    {"unary", check_unary},
    {"bce_with_logits", check_bce},
    {"cross_entropy", check_cross_entropy},
    {"gather_rows", check_gather_rows},
    {"cast", check_cast},
    {"axpby", check_axpby},
    {"gru_cell",
     [] {
       gradcheck([](const auto& in) { return gru_cell(in[0], in[1], in[2]); },
                 {x({3, 12}), x({3, 12}, 2), x({3, 4}, 3)});
     }},
    {"layer_norm",
     [] {
       gradcheck([](const auto& in) { return layer_norm(in[0], in[1], in[2], 1e-5); },
                 {x({5, 6}), x({6}, 2), x({6}, 3)});
     }},
    {"gelu",
     [] {
       for (const bool tanh_form : {false, true})
         gradcheck([=](const auto& in) { return gelu(in[0], tanh_form); }, {scale(x({4, 7}), 3)});
     }},
    {"softmax",
     [] {
       gradcheck([](const auto& in) { return softmax(in[0]); }, {x({4, 5})});
     }},
    {"dropout",
     [] {
       gradcheck([](const auto& in) { return dropout(in[0], batch.row_keys, half); }, {x({9, 5})});
     }},
    {"mul",
     [] {
       gradcheck([](const auto& in) { return multiply(in[0], in[1]); }, {x({3, 2}), x({3, 2}, 2)});
     }},
    {"copy",
     [] {
       gradcheck([](const auto& in) { return concat_columns(in[0], in[1]); }, {x({3, 2}), x({3, 4}, 2)});
     }},
};

void forget_use(const AnyOperation& operation) {
  for (size_t i = 0; i < operation.variant_count(); ++i) operation.variant(i).used = false;
}

bool was_used(const AnyOperation& operation) {
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).used) return true;
  return false;
}

}  // namespace

TEST_CASE("every operation with a gradient passes the check of its gradient") {
  for (const AnyOperation* operation : operations()) {
    const std::string name(operation->name()), backward(operation->backward());
    if (backward.empty()) continue;
    DYNAMIC_SECTION(name) {
      REQUIRE(find_operation(backward) != nullptr);
      REQUIRE(checks.contains(name));
      forget_use(*operation);
      forget_use(*find_operation(backward));
      checks.at(name)();
      CHECK(was_used(*operation));
      CHECK(was_used(*find_operation(backward)));
    }
  }
}

TEST_CASE("no check is of an operation that does not exist or has no gradient") {
  for (const auto& [name, check] : checks) {
    INFO(name);
    REQUIRE(find_operation(name) != nullptr);
    CHECK_FALSE(find_operation(name)->backward().empty());
  }
}

TEST_CASE("gradients that take no kernel: of sums, rows and shapes") {
  gradcheck([](const auto& in) { return sum(in[0]); }, {x({3, 2})});
  gradcheck([](const auto& in) { return mean(in[0]); }, {x({3, 2})});
  gradcheck([](const auto& in) { return slice_rows(in[0], 1, 3); }, {x({4, 3})});
  gradcheck([](const auto& in) { return reshape(in[0], {2, 6}); }, {x({4, 3})});
}

TEST_CASE("the check itself finds a wrong gradient") {
  const Tensor in = leaf(x({3}));
  const auto wrong = [](const std::vector<Tensor>& v) {
    return record("wrong", scale(v[0].detach(), 2), {v[0]},
                  [](const Tensor& dy) -> std::vector<Tensor> { return {scale(dy, 2.0001)}; });
  };
  weighted_sum(wrong({in})).backward();
  CHECK(error(in.grad(), central_differences(wrong, {in}, 0, 1e-5)) > 1e-5);
}
