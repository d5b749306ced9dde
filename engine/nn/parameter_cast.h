// A parameter in the element type of what it meets. A frozen one is cast once and kept; one in training is
// cast each time, so that its gradient finds the way back.
#pragma once
#include "engine/ops.h"

namespace tenon {

class ParameterCast {
 public:
  Tensor operator()(const Tensor& parameter, DType dtype) {
    if (parameter.dtype() == dtype) return parameter;
    if (parameter.requires_grad()) return cast(parameter, dtype);
    if (from_.lock() != parameter.storage() || cast_.dtype() != dtype) {
      cast_ = cast(parameter, dtype);
      from_ = parameter.storage();
    }
    return cast_;
  }

 private:
  Tensor cast_;
  std::weak_ptr<Storage> from_;  // the parameter's memory at the time
};

}  // namespace tenon
