#include "engine/nn/gru.h"

#include <cmath>

#include "engine/nn/in_layer.h"
#include "engine/precision.h"
#include "engine/random.h"
#include "engine/watch.h"
#include "kernels/base/select.h"
#include "kernels/gru/gru_sequence.h"

namespace tenon {

Gru::Gru(int64_t input_size, int64_t hidden_size, int num_layers, bool bidirectional, double dropout,
         std::string path)
    : hidden_size_(hidden_size), dropout_(dropout), path_(std::move(path)) {
  const int64_t directions = bidirectional ? 2 : 1, gates = 3 * hidden_size;
  for (int layer = 0; layer < num_layers; ++layer) {
    const int64_t inputs = layer == 0 ? input_size : directions * hidden_size;
    auto& weights = layers_.emplace_back();
    for (int64_t d = 0; d < directions; ++d)
      weights.push_back({Tensor({gates, inputs}, DType::f32), Tensor({gates, hidden_size}, DType::f32),
                         Tensor({gates}, DType::f32), Tensor({gates}, DType::f32)});
    casts_.resize(casts_.size() + static_cast<size_t>(directions));
  }
}

std::vector<GruWeights> Gru::weights_of(size_t layer, DType dtype) {
  std::vector<GruWeights> weights;
  for (size_t d = 0; d < layers_[layer].size(); ++d) {
    const GruWeights& w = layers_[layer][d];
    auto& as = casts_[layer * layers_[layer].size() + d];
    weights.push_back({as[0](w.weight_ih, dtype), as[1](w.weight_hh, dtype), as[2](w.bias_ih, dtype),
                       as[3](w.bias_hh, dtype)});
  }
  return weights;
}

void Gru::visit(Visitor& v) {
  for (size_t layer = 0; layer < layers_.size(); ++layer)
    for (size_t d = 0; d < layers_[layer].size(); ++d) {
      GruWeights& w = layers_[layer][d];
      const std::string suffix = str("_l", layer, d == 1 ? "_reverse" : "");
      v("weight_ih" + suffix, w.weight_ih);
      v("weight_hh" + suffix, w.weight_hh);
      v("bias_ih" + suffix, w.bias_ih);
      v("bias_hh" + suffix, w.bias_hh);
    }
}

Gru::Output Gru::operator()(const Tensor& x, const PackedBatch& batch) {
  const Tensor wanted = to_activation_type(x);
  Output output{has_variant<GruSequence>(x.device(), wanted.dtype()) ? wanted : to_full_precision(x), {}};
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const InLayer in_layer(*this, layer);
    if (layer > 0 && training()) {
      const uint32_t operation = operation_key(str(path_, ".dropout_l", layer - 1));
      output.y = dropout(output.y, batch.row_keys, {dropout_, random_key(operation)});
    }
    auto [y, h_n] =
        gru_sequence(output.y, batch.cu_seqlens, batch.max_seqlen, weights_of(layer, output.y.dtype()));
    output.y = watched(path_, str(".l", layer), y);
    output.h_n.push_back(std::move(h_n));
  }
  return output;
}

void Gru::init(uint64_t seed) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden_size_));
  for (const auto& [name, parameter] : named_parameters(*this, path_ + "."))
    init_uniform(*parameter, bound, seed, name);
}

}  // namespace tenon
