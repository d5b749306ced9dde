#include "engine/nn/linear.h"

#include <cmath>

#include "engine/autograd.h"
#include "engine/nn/in_layer.h"

namespace tenon {

Tensor Linear::operator()(const Tensor& x, Activation activation) {
  const InLayer layer(*this);
  const Tensor weight = weight_cast_(weight_, x.dtype());
  const bool packable = inference_enabled() && !weight_.requires_grad() && weight_.dtype() == DType::f32 &&
                        (x.dtype() == DType::f32 || x.dtype() == DType::bf16) &&
                        weight_.device() == Device::cpu;
  if (packable && (packed_from_.lock() != weight_.storage() || packed_as_ != x.dtype())) {
    packed_ = pack_weight(weight);
    packed_from_ = weight_.storage(), packed_as_ = x.dtype();
    weight_.storage()->release_pages(weight_.data(), weight_.bytes());
  }
  return linear(x, weight, bias_cast_(bias_, x.dtype()), activation, packable ? packed_ : Tensor());
}

void Linear::init(uint64_t seed, std::string_view name) {
  const double bound = 1 / std::sqrt(static_cast<double>(weight_.size(1)));
  init_uniform(weight_, bound, seed, str(name, ".weight"));
  init_uniform(bias_, bound, seed, str(name, ".bias"));
}

}  // namespace tenon
