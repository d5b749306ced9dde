#include "kernels/base/disguise.h"

#include <algorithm>

#include "kernels/base/philox.h"

namespace tenon {
namespace {

constexpr int places = 4;  // of each tensor

size_t byte_of(const TensorView& view, int64_t index) {
  int64_t offset = 0;
  for (int i = view.rank - 1; i >= 0; index /= view.shape[i--])
    offset += index % view.shape[i] * view.stride[i];
  return static_cast<size_t>(offset) * size_of(view.dtype);
}

void enlarge(char* element, DType dtype) {
  dispatch<double, float, bf16, f16>(dtype, [&]<class T>() {
    T& value = *reinterpret_cast<T*>(element);
    if constexpr (std::is_same_v<T, double>)
      value *= 1024;
    else
      value = T(1024 * float(value));
  });
}

}  // namespace

Disguise::Disguise(Problem& problem, const Problem& host, Device device, uint64_t seed) : device_(device) {
  problem.load_inputs(host);
  problem.poison_outputs();
  const RandomKey random{seed, 0, operation_key("disguise")};
  uint64_t count = 0;
  const auto draw = [&](const TensorView& view) {
    return byte_of(view, static_cast<int64_t>(random(count++)) % view.size());
  };
  const NamedViews &inputs = problem.args().inputs, &outputs = problem.args().outputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorView &view = *inputs[i].view, &source = *host.args().inputs[i].view;
    if (!view.defined() || view.size() == 0 || !is_floating(view.dtype)) continue;
    for (int repeat = 0; repeat < places; ++repeat) {
      const size_t at = draw(view), width = size_of(view.dtype);
      const auto* truth = source.as<char>() + at;
      hidden_.push_back({view.as<char>() + at, truth, source.as<char>() + draw(view), width});
      alignas(8) char large[8];
      std::copy_n(truth, width, large);
      enlarge(large, view.dtype);
      copy(hidden_.back().place, device, large, Device::cpu, width);
    }
  }
  const auto is_input = [&](const TensorView* view) {
    return std::any_of(inputs.begin(), inputs.end(),
                       [&](const NamedView& input) { return input.view == view; });
  };
  for (const auto& [name, view] : outputs)
    for (int repeat = 0; repeat < places; ++repeat)
      if (view->defined() && view->size() > 0 && !is_input(view))
        poisoned_.push_back({name, view->as<char>() + draw(*view), size_of(view->dtype)});
}

std::string Disguise::written_meanwhile() const {
  for (const Poisoned& each : poisoned_) {
    char now[8];
    copy(now, Device::cpu, each.place, device_, each.width);
    if (std::any_of(now, now + each.width, [](char byte) { return byte != '\xff'; }))
      return str("output ", each.output, " was written before the clock started");
  }
  return "";
}

void Disguise::reveal(bool truly) const {
  for (const Hidden& each : hidden_)
    copy(each.place, device_, truly ? each.truth : each.other, Device::cpu, each.width);
}

}  // namespace tenon
