#include "models/sentiment/operations.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/ops.h"
#include "engine/precision.h"
#include "kernels/base/select.h"
#include "kernels/gru/gru_sequence.h"

namespace tenon {
namespace {

constexpr size_t per_direction = 4;  // weight_ih, weight_hh, bias_ih, bias_hh

std::vector<std::string> parameters_of(int layer, int directions) {
  std::vector<std::string> names;
  for (int d = 0; d < directions; ++d)
    for (const char* name : {"weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l"})
      names.push_back(str("rnn.", name, layer, d ? "_reverse" : ""));
  return names;
}

GruOutput layer_of(const Operands& o) {
  // As the model does on a device without a GRU in this type.
  const bool as_it_is = has_variant<GruSequence>(o.x[0].device(), o.x[0].dtype());
  const Tensor x = as_it_is ? o.x[0] : to_full_precision(o.x[0]);
  std::vector<GruWeights> weights;
  for (size_t i = 0; i < o.p.size(); i += per_direction)
    weights.push_back({cast(o.p[i], x.dtype()), cast(o.p[i + 1], x.dtype()), cast(o.p[i + 2], x.dtype()),
                       cast(o.p[i + 3], x.dtype())});
  return gru_sequence(x, o.batch.cu_seqlens, o.batch.max_seqlen, weights);
}

// (D, B, H) to (B, D * H).
Tensor side_by_side(const Tensor& h_n) {
  const int64_t sequences = h_n.size(1), width = h_n.size(2);
  const Tensor states = reshape(h_n, {h_n.size(0) * sequences, width});
  if (h_n.size(0) == 1) return states;
  return concat_columns(slice_rows(states, 0, sequences), slice_rows(states, sequences, 2 * sequences));
}

// Blocks of rows, one for each gate, in another order.
Tensor gates_in_order(const Tensor& parameter, const std::array<int, 3>& order) {
  std::vector<int32_t> rows;
  const auto width = static_cast<int32_t>(parameter.size(0) / 3);
  for (const int gate : order)
    for (int32_t i = 0; i < width; ++i) rows.push_back(gate * width + i);
  const Tensor matrix = parameter.shape().rank == 2 ? parameter : parameter.reshaped({parameter.size(0), 1});
  return gather_rows(matrix, index_of(rows)).reshaped(parameter.shape());
}

using Change = std::function<void(std::vector<Tensor>& p)>;

Formula with_parameters(const Formula& formula, const Change& change) {
  return [formula, change](const Operands& o) {
    Operands changed = o;
    change(changed.p);
    return formula(changed);
  };
}

Change each_direction(const std::function<void(Tensor*)>& change) {
  return [change](std::vector<Tensor>& p) {
    for (size_t i = 0; i < p.size(); i += per_direction) change(&p[i]);
  };
}

Tensor zeros_like(const Tensor& x) { return Tensor::zeros(x.shape(), x.dtype(), x.device()); }

// sigmoid(-a) = 1 - sigmoid(a), so that z and 1 - z change places.
Tensor negated_update_gate(const Tensor& parameter) {
  std::vector<double> values = parameter.to_vector<double>();
  const size_t third = values.size() / 3;
  for (size_t i = third; i < 2 * third; ++i) values[i] = -values[i];
  return Tensor::from(values, parameter.shape());
}

Tensor transposed_gates(const Tensor& weight_hh) {
  const int64_t width = weight_hh.size(1);
  std::vector<double> all;
  for (int64_t gate = 0; gate < 3; ++gate) {
    const auto turned = transposed(weight_hh.rows(gate * width, (gate + 1) * width)).to_vector<double>();
    all.insert(all.end(), turned.begin(), turned.end());
  }
  return Tensor::from(all, weight_hh.shape());
}

// Every sequence as long as the longest, with rows of zeros.
Tensor over_padding(const Operands& o, const std::function<Tensor(const Operands&)>& formula,
                    bool rows_back) {
  const auto offsets = o.batch.cu_seqlens.to_vector<int32_t>();
  const auto values = o.x[0].to_vector<double>();
  const size_t width = static_cast<size_t>(o.x[0].size(1)), longest = static_cast<size_t>(o.batch.max_seqlen);
  const size_t sequences = offsets.size() - 1;
  std::vector<double> padded(sequences * longest * width);
  std::vector<int32_t> real;
  for (size_t s = 0; s < sequences; ++s)
    for (auto row = offsets[s]; row < offsets[s + 1]; ++row) {
      const size_t place = s * longest + static_cast<size_t>(row - offsets[s]);
      std::copy_n(values.begin() + row * static_cast<int64_t>(width), width,
                  padded.begin() + static_cast<int64_t>(place * width));
      real.push_back(static_cast<int32_t>(place));
    }
  const PackedBatch batch =
      PackedBatch::of_lengths(std::vector<int64_t>(sequences, static_cast<int64_t>(longest)));
  const Tensor x = Tensor::from(padded, {batch.tokens, o.x[0].size(1)});
  const Tensor y = formula({{x}, o.p, batch, o.parameter});
  return rows_back ? gather_rows(y, index_of(real)) : y;
}

// One direction of a GRU whose reset gate scales the state before its product and not after: (T, H) or, of
// the last step of each sequence, (B, H).
Tensor reset_before_product(const Operands& o, size_t direction, bool only_last) {
  const Tensor* p = &o.p[direction * per_direction];
  const auto inputs = linear(o.x[0], p[0], p[2]).to_vector<double>();
  const auto weight = p[1].to_vector<double>(), bias = p[3].to_vector<double>();
  const auto offsets = o.batch.cu_seqlens.to_vector<int32_t>();
  const auto width = static_cast<size_t>(p[1].size(1));
  const auto sigmoid = [](double a) { return 1 / (1 + std::exp(-a)); };
  std::vector<double> y(static_cast<size_t>(o.batch.tokens) * width), last;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    std::vector<double> h(width), r(width), z(width), n(width), scaled(width);
    for (int32_t step = 0; step < offsets[s + 1] - offsets[s]; ++step) {
      const auto row = static_cast<size_t>(direction ? offsets[s + 1] - 1 - step : offsets[s] + step);
      const auto gate = [&](size_t which, size_t j, const std::vector<double>& state) {
        double sum = inputs[row * 3 * width + which * width + j] + bias[which * width + j];
        for (size_t k = 0; k < width; ++k) sum += weight[(which * width + j) * width + k] * state[k];
        return sum;
      };
      for (size_t j = 0; j < width; ++j) r[j] = sigmoid(gate(0, j, h)), z[j] = sigmoid(gate(1, j, h));
      for (size_t j = 0; j < width; ++j) scaled[j] = r[j] * h[j];
      for (size_t j = 0; j < width; ++j) n[j] = std::tanh(gate(2, j, scaled));
      for (size_t j = 0; j < width; ++j) y[row * width + j] = h[j] = (1 - z[j]) * n[j] + z[j] * h[j];
    }
    last.insert(last.end(), h.begin(), h.end());
  }
  return only_last ? Tensor::from(last, {o.batch.sequences, static_cast<int64_t>(width)})
                   : Tensor::from(y, {o.batch.tokens, static_cast<int64_t>(width)});
}

void add_suspects(ModelOperation& operation, bool is_last, int directions) {
  const Formula formula = operation.formula;
  auto& suspects = operation.suspects;
  const std::pair<const char*, std::array<int, 3>> orders[] = {{"z, r, n", {1, 0, 2}},
                                                               {"r, n, z", {0, 2, 1}},
                                                               {"n, z, r", {2, 1, 0}},
                                                               {"z, n, r", {2, 0, 1}},
                                                               {"n, r, z", {1, 2, 0}}};
  for (const auto& [name, order] : orders)
    suspects.push_back({str("the gates stand in the order ", name, ", not r, z, n"),
                        with_parameters(formula, [order = order](std::vector<Tensor>& p) {
                          for (Tensor& parameter : p) parameter = gates_in_order(parameter, order);
                        })});
  suspects.push_back({"the update gate is inverted: z weighs the new state and not the old one",
                      with_parameters(formula, [](std::vector<Tensor>& p) {
                        for (Tensor& parameter : p) parameter = negated_update_gate(parameter);
                      })});
  suspects.push_back({"the biases bias_ih are missing",
                      with_parameters(formula, each_direction([](Tensor* p) { p[2] = zeros_like(p[2]); }))});
  suspects.push_back({"the biases bias_hh are missing",
                      with_parameters(formula, each_direction([](Tensor* p) { p[3] = zeros_like(p[3]); }))});
  suspects.push_back(
      {"the recurrent weights are transposed",
       with_parameters(formula, each_direction([](Tensor* p) { p[1] = transposed_gates(p[1]); }))});
  suspects.push_back({"the bias of the state's part of n stands outside of the reset gate's reach",
                      with_parameters(formula, each_direction([](Tensor* p) {
                                        auto in = p[2].to_vector<double>(), state = p[3].to_vector<double>();
                                        for (size_t i = in.size() / 3 * 2; i < in.size(); ++i)
                                          in[i] += std::exchange(state[i], 0);
                                        p[2] = Tensor::from(in), p[3] = Tensor::from(state);
                                      }))});
  suspects.push_back({"the reset gate scales the state before its product with the weights and not after",
                      [is_last, directions](const Operands& o) {
                        const Tensor forward = reset_before_product(o, 0, is_last);
                        return directions == 1 ? forward
                                               : concat_columns(forward, reset_before_product(o, 1, is_last));
                      }});
  suspects.push_back({"the GRU runs over padding",
                      [formula, is_last](const Operands& o) { return over_padding(o, formula, !is_last); }});
  if (directions == 2) {
    suspects.push_back({"the directions are swapped", with_parameters(formula, [](std::vector<Tensor>& p) {
                          std::rotate(p.begin(), p.begin() + per_direction, p.end());
                        })});
    if (is_last)
      suspects.push_back(
          {"the reverse direction's state is taken at the last token, where it has seen only that",
           [](const Operands& o) {
             const GruOutput output = layer_of(o);
             auto last = o.batch.cu_seqlens.to_vector<int32_t>();
             last.erase(last.begin());
             for (int32_t& row : last) --row;
             return gather_rows(output.y, index_of(last));
           }});
  }
  suspect_rounding(operation);
}

}  // namespace

std::vector<ModelOperation> head_operations(const SentimentConfig& config, const std::string& input) {
  std::vector<ModelOperation> all;
  std::string x = input;
  const int directions = config.bidirectional ? 2 : 1;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const bool is_last = layer + 1 == config.num_layers;
    ModelOperation& operation = all.emplace_back();
    operation.name = is_last ? "rnn.last" : str("rnn.l", layer);
    operation.inputs = {x};
    operation.parameters = parameters_of(layer, directions);
    operation.is_product = true;
    if (is_last)
      operation.formula = [](const Operands& o) { return side_by_side(to_full_precision(layer_of(o).h_n)); };
    else
      operation.formula = [](const Operands& o) { return layer_of(o).y; };
    add_suspects(operation, is_last, directions);
    x = operation.name;
  }
  ModelOperation out = linear_operation("out", x, "out", {});
  const auto as_vector = [](const Formula& formula) {
    return [formula](const Operands& o) {
      const Tensor y = formula(o);
      return y.defined() ? reshape(y, {y.size()}) : y;
    };
  };
  for (Suspect& suspect : out.suspects) suspect.formula = as_vector(suspect.formula);
  out.formula = as_vector(out.formula);
  out.suspects.push_back({"a sigmoid is applied already", [formula = out.formula](const Operands& o) {
                            const Tensor y = formula(o);
                            return activation(y, "sigmoid");
                          }});
  out.full_precision = true;
  all.push_back(std::move(out));
  return all;
}

}  // namespace tenon
