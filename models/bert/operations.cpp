#include "models/bert/operations.h"

#include <algorithm>
#include <cmath>

#include "engine/ops.h"
#include "models/bert/bert.h"

namespace tenon {
namespace {

constexpr int32_t pad_id = 0;

std::vector<int64_t> offsets_of(const PackedBatch& batch) {
  const auto offsets = batch.cu_seqlens.to_vector<int32_t>();
  return {offsets.begin(), offsets.end()};
}

Tensor rows_of_type(int32_t type, const Operands& o) {
  return gather_rows(o.p[2], index_of(std::vector<int32_t>(static_cast<size_t>(o.batch.tokens), type),
                                      o.batch.input_ids.device()));
}

Tensor at_positions(const Operands& o, const std::function<int64_t(int64_t row, int64_t position)>& place) {
  std::vector<int32_t> positions = o.batch.positions.to_vector<int32_t>();
  for (size_t row = 0; row < positions.size(); ++row) {
    const int64_t there = place(static_cast<int64_t>(row), positions[row]);
    if (there < 0 || there >= o.p[1].size(0)) return {};
    positions[row] = static_cast<int32_t>(there);
  }
  return add(add(gather_rows(o.p[0], o.batch.input_ids), gather_rows(o.p[1], index_of(positions))),
             rows_of_type(0, o));
}

ModelOperation embedding_sum(const BertConfig& config) {
  const std::string at = "bert.embeddings.";
  ModelOperation operation{.name = at + "sum",
                           .parameters = {at + "word_embeddings.weight", at + "position_embeddings.weight",
                                          at + "token_type_embeddings.weight"},
                           .formula =
                               [](const Operands& o) {
                                 return add(add(gather_rows(o.p[0], o.batch.input_ids), rows_of_type(0, o)),
                                            gather_rows(o.p[1], o.batch.positions));
                               },
                           .full_precision = true};
  const double root = std::sqrt(static_cast<double>(config.hidden_size));
  operation.suspects = {
      {"the position embedding is missing",
       [](const Operands& o) { return add(gather_rows(o.p[0], o.batch.input_ids), rows_of_type(0, o)); }},
      {"the token type embedding is missing",
       [](const Operands& o) {
         return add(gather_rows(o.p[0], o.batch.input_ids), gather_rows(o.p[1], o.batch.positions));
       }},
      {"the token type is 1 and not 0",
       [](const Operands& o) {
         if (o.p[2].size(0) < 2) return Tensor();
         return add(add(gather_rows(o.p[0], o.batch.input_ids), rows_of_type(1, o)),
                    gather_rows(o.p[1], o.batch.positions));
       }},
      {"positions count from 1",
       [](const Operands& o) {
         return at_positions(o, [](int64_t, int64_t position) { return position + 1; });
       }},
      {"positions count from 2, as RoBERTa's do",
       [](const Operands& o) {
         return at_positions(o, [](int64_t, int64_t position) { return position + 2; });
       }},
      {"positions go on from one sequence to the next",
       [](const Operands& o) { return at_positions(o, [](int64_t row, int64_t) { return row; }); }},
      {"positions count from the left end of a batch padded on the left",
       [](const Operands& o) {
         const auto offsets = offsets_of(o.batch);
         return at_positions(o, [&](int64_t row, int64_t position) {
           const auto next = std::upper_bound(offsets.begin(), offsets.end(), row);
           return position + o.batch.max_seqlen - (*next - *(next - 1));
         });
       }},
      {"word embeddings are multiplied by the root of the hidden size", [root](const Operands& o) {
         return add(add(scale(gather_rows(o.p[0], o.batch.input_ids), root), rows_of_type(0, o)),
                    gather_rows(o.p[1], o.batch.positions));
       }}};
  return operation;
}

// Rows of q, k or v behind the real ones for [PAD] at the end of each sequence, as the first layer makes
// them.
Tensor with_padding(const Tensor& x, const Operands& o, const std::string& module, const BertConfig& config) {
  const std::string at = "bert.embeddings.";
  const int64_t longest = o.batch.max_seqlen;
  std::vector<int32_t> pads(static_cast<size_t>(longest), pad_id), positions(pads.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i);
  const Tensor rows = embedding(
      index_of(pads), index_of(positions), {}, o.parameter(at + "word_embeddings.weight"),
      o.parameter(at + "position_embeddings.weight"), o.parameter(at + "token_type_embeddings.weight"),
      o.parameter(at + "LayerNorm.weight"), o.parameter(at + "LayerNorm.bias"), config.layer_norm_eps);
  const Tensor of_pads = linear(rows, o.parameter(module + ".weight"), o.parameter(module + ".bias"));
  std::vector<double> all = x.to_vector<double>(), behind = of_pads.to_vector<double>();
  all.insert(all.end(), behind.begin(), behind.end());
  return Tensor::from(all, {x.size(0) + longest, x.size(1)});
}

// Attention over rows that each sequence lists, and of its results those of the rows in `kept`.
Tensor attention_over(const std::vector<Tensor>& qkv, const std::vector<std::vector<int32_t>>& sequences,
                      const std::vector<int32_t>& kept, int heads, double scale) {
  std::vector<int32_t> rows;
  std::vector<int64_t> lengths;
  for (const auto& sequence : sequences) {
    rows.insert(rows.end(), sequence.begin(), sequence.end());
    lengths.push_back(static_cast<int64_t>(sequence.size()));
  }
  const PackedBatch batch = PackedBatch::of_lengths(lengths);
  const Tensor index = index_of(rows);
  return gather_rows(attention(gather_rows(qkv[0], index), gather_rows(qkv[1], index),
                               gather_rows(qkv[2], index), batch.cu_seqlens, heads, batch.max_seqlen, scale),
                     index_of(kept));
}

Tensor padded_attention(const Operands& o, const BertConfig& config, const std::string& layer, int heads,
                        double scale) {
  std::vector<Tensor> qkv;
  for (size_t i = 0; i < 3; ++i) {
    const char* name[] = {"query", "key", "value"};
    qkv.push_back(with_padding(o.x[i], o, str(layer, ".attention.self.", name[i]), config));
  }
  const auto offsets = offsets_of(o.batch);
  std::vector<std::vector<int32_t>> sequences;
  std::vector<int32_t> kept;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    auto& rows = sequences.emplace_back();
    const int64_t length = offsets[s + 1] - offsets[s];
    for (int64_t position = 0; position < o.batch.max_seqlen; ++position) {
      const bool real = position < length;
      if (real) kept.push_back(static_cast<int32_t>(static_cast<int64_t>(s) * o.batch.max_seqlen + position));
      rows.push_back(static_cast<int32_t>(real ? offsets[s] + position : o.batch.tokens + position));
    }
  }
  return attention_over(qkv, sequences, kept, heads, scale);
}

// Each row sees itself and those before it: it is the last row of a sequence of its own.
Tensor causal_attention(const Operands& o, int heads, double scale) {
  const auto offsets = offsets_of(o.batch);
  std::vector<std::vector<int32_t>> sequences;
  std::vector<int32_t> kept;
  int32_t rows = 0;
  for (size_t s = 0; s + 1 < offsets.size(); ++s)
    for (auto row = static_cast<int32_t>(offsets[s]); row < offsets[s + 1]; ++row) {
      auto& seen = sequences.emplace_back();
      for (auto before = static_cast<int32_t>(offsets[s]); before <= row; ++before) seen.push_back(before);
      rows += static_cast<int32_t>(seen.size());
      kept.push_back(rows - 1);
    }
  constexpr int32_t most_rows = 50000;  // of a suspect that is worth its memory
  return rows > most_rows ? Tensor() : attention_over(o.x, sequences, kept, heads, scale);
}

ModelOperation attention_operation(const std::string& layer, int index, const BertConfig& config) {
  const std::string at = layer + ".attention.self";
  const int heads = static_cast<int>(config.num_attention_heads);
  const auto width = static_cast<double>(config.hidden_size);
  const double usual = 1 / std::sqrt(width / heads);
  const auto with = [](int h, double s) {
    return [h, s](const Operands& o) {
      return attention(o.x[0], o.x[1], o.x[2], o.batch.cu_seqlens, h, o.batch.max_seqlen, s);
    };
  };
  ModelOperation operation{.name = at,
                           .inputs = {at + ".query", at + ".key", at + ".value"},
                           .formula = with(heads, usual),
                           .is_product = true};
  auto& suspects = operation.suspects;
  if (index == 0)  // the first layer to differ if padding is attended to
    suspects.push_back({"there is no attention mask: real tokens attend to [PAD]",
                        [=](const Operands& o) { return padded_attention(o, config, layer, heads, usual); }});
  suspects.push_back({"sequences attend to one another", [=](const Operands& o) {
                        const PackedBatch one = PackedBatch::of_lengths({o.batch.tokens});
                        return attention(o.x[0], o.x[1], o.x[2], one.cu_seqlens, heads, one.max_seqlen,
                                         usual);
                      }});
  suspects.push_back({"attention is causal: a token does not see those after it",
                      [=](const Operands& o) { return causal_attention(o, heads, usual); }});
  suspects.push_back({"the scale 1/sqrt(head size) is missing", with(heads, 1)});
  suspects.push_back({"the scale is 1/(head size), without the root", with(heads, usual * usual)});
  suspects.push_back(
      {"the scale is 1/sqrt(hidden size), not of the head size", with(heads, 1 / std::sqrt(width))});
  for (int other = 1; other <= config.hidden_size; ++other)
    if (config.hidden_size % other == 0 && other != heads)
      suspects.push_back(
          {str("there are ", other, " heads, not ", heads), with(other, 1 / std::sqrt(width / other))});
  const char* order[] = {"key and query are", "query and value are", "key and value are"};
  const std::array<int, 3> places[] = {{1, 0, 2}, {2, 1, 0}, {0, 2, 1}};
  for (size_t i = 0; i < 3; ++i)
    suspects.push_back({str(order[i], " swapped"), [=](const Operands& o) {
                          const auto [q, k, v] = places[i];
                          return attention(o.x[q], o.x[k], o.x[v], o.batch.cu_seqlens, heads,
                                           o.batch.max_seqlen, usual);
                        }});
  suspect_rounding(operation);
  return operation;
}

Tensor activated(const Tensor& x, const std::string& hidden_act) {
  const auto fused = fused_activation(hidden_act);
  if (fused == Activation::gelu || fused == Activation::gelu_tanh)
    return gelu(x, fused == Activation::gelu_tanh);
  return activation(x, hidden_act);
}

ModelOperation activation_operation(const std::string& layer, const BertConfig& config) {
  ModelOperation operation{
      .name = layer + ".intermediate",
      .inputs = {layer + ".intermediate.dense"},
      .formula = [name = config.hidden_act](const Operands& o) { return activated(o.x[0], name); }};
  const std::pair<const char*, const char*> others[] = {
      {"gelu", "GELU in its erf form"},
      {"gelu_new", "GELU in its tanh form"},
      {"quick_gelu", "x · sigmoid(1.702 x), the quick GELU"},
      {"relu", "ReLU"},
      {"silu", "SiLU"},
      {"tanh", "tanh"},
      {"linear", "left out"}};
  for (const auto& [name, title] : others)
    operation.suspects.push_back(
        {str("the activation is ", title, ", not ", config.hidden_act),
         [name = std::string(name)](const Operands& o) { return activated(o.x[0], name); }});
  return operation;
}

// What a map reads in a model that normalises the input of a block and not its output.
void suspect_pre_norm(ModelOperation& operation, const std::string& norm, double eps) {
  operation.suspects.push_back(
      {str("its input goes through ", norm, " first (pre-norm in place of post-norm)"),
       [norm, eps, formula = operation.formula](const Operands& o) {
         Operands before = o;
         before.x[0] = layer_norm(o.x[0], o.parameter(norm + ".weight"), o.parameter(norm + ".bias"), eps);
         return formula(before);
       }});
}

Tensor first_rows(const PackedBatch& batch) { return batch.cu_seqlens.rows(0, batch.sequences); }

ModelOperation pooler_operation(const std::string& input, const std::vector<std::string>& others) {
  ModelOperation operation = linear_operation("bert.pooler", input, "bert.pooler.dense", others);
  const auto pool = [](const Operands& o, const Tensor& rows, Activation activation = Activation::tanh) {
    return linear(gather_rows(o.x[0], rows), o.p[0], o.p[1], activation);
  };
  operation.formula = [pool](const Operands& o) { return pool(o, first_rows(o.batch)); };
  for (Suspect& suspect : operation.suspects)  // of the linear map: on the first rows, under tanh
    suspect.formula = [formula = suspect.formula](const Operands& o) {
      Operands first = o;
      first.x[0] = gather_rows(o.x[0], first_rows(o.batch));
      const Tensor y = formula(first);
      return y.defined() ? activation(y, "tanh") : y;
    };
  operation.suspects.push_back({"tanh is missing", [pool](const Operands& o) {
                                  return pool(o, first_rows(o.batch), Activation::none);
                                }});
  operation.suspects.push_back({"the last token is taken and not the first", [pool](const Operands& o) {
                                  auto last = offsets_of(o.batch);
                                  std::vector<int32_t> rows;
                                  for (size_t s = 1; s < last.size(); ++s)
                                    rows.push_back(static_cast<int32_t>(last[s] - 1));
                                  return pool(o, index_of(rows));
                                }});
  return operation;
}

std::vector<std::string> modules_of(const BertConfig& config, bool norms) {
  std::vector<std::string> modules;
  if (norms) modules.push_back("bert.embeddings.LayerNorm");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i)
    for (const char* name :
         norms ? std::vector{"attention.output.LayerNorm", "output.LayerNorm"}
               : std::vector{"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense", "intermediate.dense", "output.dense"})
      modules.push_back(str("bert.encoder.layer.", i, ".", name));
  return modules;
}

}  // namespace

std::vector<ModelOperation> bert_operations(const BertConfig& config, bool with_pooler) {
  const auto maps = modules_of(config, false), norms = modules_of(config, true);
  const double eps = config.layer_norm_eps;
  std::vector<ModelOperation> all{embedding_sum(config)};
  all.push_back(layer_norm_operation("bert.embeddings.LayerNorm", {"bert.embeddings.sum"},
                                     "bert.embeddings.LayerNorm", eps, norms));
  all.back().full_precision = true;
  all.push_back({.name = "bert.embeddings",
                 .inputs = {"bert.embeddings.LayerNorm"},
                 .formula = [](const Operands& o) { return scale(o.x[0], 1); }});
  std::string x = "bert.embeddings";
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = str("bert.encoder.layer.", i), attention = layer + ".attention";
    for (const char* name : {"query", "key", "value"}) {
      const std::string module = str(attention, ".self.", name);
      all.push_back(linear_operation(module, x, module, maps));
      suspect_pre_norm(all.back(), attention + ".output.LayerNorm", eps);
    }
    all.push_back(attention_operation(layer, i, config));
    const std::string mixed = attention + ".output.dense", middle = attention + ".output.LayerNorm";
    all.push_back(linear_operation(mixed, attention + ".self", mixed, maps));
    all.push_back(layer_norm_operation(middle, {mixed, x}, middle, eps, norms));
    const std::string wide = layer + ".intermediate.dense", narrow = layer + ".output.dense";
    all.push_back(linear_operation(wide, middle, wide, maps));
    suspect_pre_norm(all.back(), layer + ".output.LayerNorm", eps);
    all.push_back(activation_operation(layer, config));
    all.push_back(linear_operation(narrow, layer + ".intermediate", narrow, maps));
    x = layer + ".output.LayerNorm";
    all.push_back(layer_norm_operation(x, {narrow, middle}, x, eps, norms));
  }
  if (with_pooler) all.push_back(pooler_operation(x, maps));
  return all;
}

}  // namespace tenon
