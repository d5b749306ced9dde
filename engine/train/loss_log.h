// Losses of training steps in a buffer on the device, until all are fetched at once. A step's loss is the
// mean over the parts that its batch was cut into.
#pragma once
#include <vector>

#include "engine/tensor.h"

namespace tenon {

class LossLog {
 public:
  void begin_step() { steps_.emplace_back(); }
  // (1), of a part of the step that was begun last; weight: its share of the batch. Waits for nothing.
  void add(const Tensor& loss, double weight);
  size_t steps() const { return steps_.size(); }
  // The losses of all steps since the last fetch. Waits for the device.
  std::vector<double> fetch();

 private:
  Tensor values_;  // of all parts, one after another; the first used_ are filled
  int64_t used_ = 0;
  std::vector<std::vector<double>> steps_;  // weights of the parts
};

}  // namespace tenon
