#include "models/ledger/measure.h"

#include <algorithm>
#include <cmath>

#include "engine/precision.h"

namespace tenon {
namespace {

template <class Narrow>
bool all_are(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](double value) {
    return static_cast<double>(static_cast<float>(Narrow(static_cast<float>(value)))) == value;
  });
}

// A number type that all values have, though those of the reference do not, and its errors.
template <class Narrow>
bool is_of_type(const Values& found, const Reference& reference, double unit) {
  return all_are<Narrow>(found) && !all_are<Narrow>(reference.exact) &&
         largest_difference(found, reference.exact) <= reference.allowed(unit);
}

// found = factor · exact where found is not zero.
Explanation explain_by_factor(const Values& found, const Reference& reference) {
  double both = 0, squares = 0;
  size_t dropped = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == 0 && reference.exact[i] != 0) {
      ++dropped;
      continue;
    }
    both += found[i] * reference.exact[i];
    squares += reference.exact[i] * reference.exact[i];
  }
  const double factor = squares > 0 ? both / squares : 0;
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i] != 0) worst = std::max(worst, std::fabs(found[i] - factor * reference.exact[i]));
  if (!(worst <= std::max(1.0, std::fabs(factor)) * reference.allowed(unit_fp32)) || factor == 0) return {};
  char text[160];
  const double share = static_cast<double>(dropped) / static_cast<double>(found.size());
  if (dropped > 0 && factor > 1 && share < 0.9)
    std::snprintf(
        text, sizeof text,
        "dropout is active: %.0f %% of the values are 0 and the others %.4g times as large; was the "
        "model in training mode?",
        100 * share, factor);
  else if (dropped == 0 && std::fabs(factor - 1) > 1e-4)
    std::snprintf(text, sizeof text, "all values are %.6g times as large", factor);
  else
    return {};
  return {text, worst};
}

Explanation explain_by_rows(const Values& found, const Reference& reference, int64_t columns) {
  Values kept = reference.exact;
  std::string rows;
  size_t left_out = 0;
  const auto width = static_cast<size_t>(columns);
  for (size_t begin = 0; begin + width <= found.size(); begin += width) {
    const auto is_zero = [&](const Values& v) {
      return std::all_of(v.begin() + static_cast<int64_t>(begin),
                         v.begin() + static_cast<int64_t>(begin + width),
                         [](double value) { return value == 0; });
    };
    if (!is_zero(found) || is_zero(reference.exact)) continue;
    std::fill_n(kept.begin() + static_cast<int64_t>(begin), width, 0.0);
    if (++left_out <= 3) rows += str(rows.empty() ? "" : ", ", begin / width);
  }
  const double remaining = largest_difference(found, kept);
  if (left_out == 0 || left_out * width == found.size() || !(remaining <= reference.allowed(unit_fp32)))
    return {};
  return {str("row ", rows, left_out > 3 ? " and others are" : " is", " left out, as by padding_idx"),
          remaining};
}

}  // namespace

Values values_of(const Tensor& tensor) {
  const Tensor host = to_full_precision(tensor.detach()).to(Device::cpu);
  if (host.dtype() == DType::f64) return host.to_vector<double>();
  const auto values = host.to_vector<float>();
  return {values.begin(), values.end()};
}

double largest(const Values& values) {
  double most = 0;
  for (const double value : values) most = std::fabs(value) <= most ? most : std::fabs(value);
  return most;
}

double largest_difference(const Values& a, const Values& b) {
  check(a.size() == b.size(), "tensors of ", a.size(), " and ", b.size(), " elements were compared");
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(a[i] - b[i]);
    worst = difference <= INFINITY ? std::max(worst, difference) : INFINITY;
  }
  return worst;
}

void accumulate(Values& sum, const Values& term) {
  if (sum.empty()) sum.resize(term.size());
  for (size_t i = 0; i < term.size(); ++i) sum[i] += term[i];
}

// Kernels round their partial sums and what they keep for the backward, too, each in its own way. With narrow
// operands that is little beside the operands' rounding, since sums are fp32.
double Reference::allowed(double unit) const {
  const double factor = (unit == unit_fp32 ? 16 : 4) * (has_long_sums ? 4 : 1);
  return factor * unit * (largest_difference(exact, perturbed) / unit_fp32 + largest(exact));
}

Explanation explain_by_numbers(const Values& found, const Reference& reference, int64_t columns) {
  if (is_of_type<bf16>(found, reference, unit_bf16)) return {"it was computed in bf16", 0};
  if (is_of_type<f16>(found, reference, unit_tf32)) return {"it was computed in fp16", 0};
  if (largest(found) == 0 && largest(reference.exact) > 0) return {"all values are 0", 0};
  if (Explanation rows = explain_by_rows(found, reference, columns); !rows.cause.empty()) return rows;
  return explain_by_factor(found, reference);
}

}  // namespace tenon
