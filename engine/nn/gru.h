// torch.nn.GRU on packed rows: layers, directions, dropout between layers, both biases, gates r, z, n.
#pragma once
#include "engine/nn/module.h"
#include "engine/nn/packed_batch.h"
#include "engine/nn/parameter_cast.h"

namespace tenon {

class Gru final : public Module {
 public:
  // path: the module's own in the model, by which the dropout between layers is keyed ("rnn").
  Gru(int64_t input_size, int64_t hidden_size, int num_layers, bool bidirectional, double dropout,
      std::string path);

  void visit(
      Visitor& v) override;  // weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, …

  struct Output {
    Tensor y;                 // (T, D * H), of the last layer
    std::vector<Tensor> h_n;  // (D, B, H) of each layer; torch has them in one (layers * D, B, H)
  };
  // In the precision's type for activations, or in fp32 on a device without a kernel for that.
  Output operator()(const Tensor& x, const PackedBatch& batch);

  // torch's default: uniform within 1 / sqrt(hidden_size) for all.
  void init(uint64_t seed);

  int64_t hidden_size() const { return hidden_size_; }
  int directions() const { return static_cast<int>(layers_[0].size()); }

 private:
  std::vector<GruWeights> weights_of(size_t layer, DType dtype);

  int64_t hidden_size_;
  double dropout_;
  std::string path_;
  std::vector<std::vector<GruWeights>> layers_;      // [layer][direction]
  std::vector<std::array<ParameterCast, 4>> casts_;  // of each direction of each layer
};

}  // namespace tenon
