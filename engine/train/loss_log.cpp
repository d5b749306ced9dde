#include "engine/train/loss_log.h"

#include <algorithm>

namespace tenon {

void LossLog::add(const Tensor& loss, double weight) {
  if (!values_.defined() || used_ == values_.size()) {
    Tensor larger({std::max<int64_t>(64, 2 * used_)}, loss.dtype(), loss.device());
    if (used_ > 0) larger.rows(0, used_).copy_from(values_);
    values_ = larger;
  }
  values_.rows(used_, used_ + 1).copy_from(loss.detach());
  ++used_;
  steps_.back().push_back(weight);
}

std::vector<double> LossLog::fetch() {
  std::vector<double> values, losses;
  if (used_ > 0)
    dispatch<float, double>(values_.dtype(), [&]<class T>() {
      const auto parts = values_.rows(0, used_).to_vector<T>();
      values.assign(parts.begin(), parts.end());
    });
  size_t part = 0;
  for (const auto& weights : steps_) {
    double& mean = losses.emplace_back(0);
    for (const double weight : weights) mean += weight * values[part++];
  }
  steps_.clear();
  used_ = 0;
  return losses;
}

}  // namespace tenon
