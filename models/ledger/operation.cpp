// The suspects of linear maps and layer norms, which every model has.
#include "models/ledger/operation.h"

#include <bit>
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "kernels/base/tf32.h"

namespace tenon {
namespace {

Tensor mapped(const Tensor& x, const std::function<double(double)>& f) {
  std::vector<double> values = x.to_vector<double>();
  for (double& value : values) value = f(value);
  return Tensor::from(values, x.shape());
}

// As a tensor core drops the low bits of an fp32 operand that nobody rounded.
double cut_to_tf32(double value) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(value)) & 0xffffe000u);
}

Operands rounded(const Operands& o, const std::function<double(double)>& how) {
  Operands result{{}, {}, o.batch, o.parameter};
  for (const Tensor& x : o.x) result.x.push_back(mapped(x, how));
  // Biases are added in fp32.
  for (const Tensor& p : o.p) result.p.push_back(p.shape().rank == 2 ? mapped(p, how) : p);
  return result;
}

Tensor summed(const Operands& o) { return o.x.size() == 2 ? add(o.x[0], o.x[1]) : o.x[0]; }

// (x - mean) / sqrt(variance + eps) · weight + bias, row by row.
Tensor normalised(const Tensor& x, const Operands& o, double eps, bool subtract_mean, bool unbiased) {
  std::vector<double> values = x.to_vector<double>();
  const auto weight = o.p[0].to_vector<double>(), bias = o.p[1].to_vector<double>();
  const size_t columns = weight.size();
  for (size_t row = 0; row < values.size(); row += columns) {
    double mean = 0, squares = 0;
    for (size_t j = 0; j < columns; ++j) mean += values[row + j] / static_cast<double>(columns);
    if (!subtract_mean) mean = 0;
    for (size_t j = 0; j < columns; ++j) squares += (values[row + j] - mean) * (values[row + j] - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(columns - (unbiased ? 1 : 0)) + eps);
    for (size_t j = 0; j < columns; ++j)
      values[row + j] = (values[row + j] - mean) * scale * weight[j] + bias[j];
  }
  return Tensor::from(values, x.shape());
}

Tensor ones_like(const Tensor& x) { return Tensor::full(x.shape(), x.dtype(), 1); }
Tensor zeros_like(const Tensor& x) { return Tensor::zeros(x.shape(), x.dtype()); }

}  // namespace

Tensor& LedgerModel::parameter(const std::string& name) const {
  for (const auto& [known, tensor] : parameters)
    if (known == name) return *tensor;
  fail("the model has no parameter ", name);
}

Tensor transposed(const Tensor& matrix) {
  const auto values = matrix.to_vector<double>();
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  std::vector<double> turned(values.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      turned[static_cast<size_t>(j * rows + i)] = values[static_cast<size_t>(i * columns + j)];
  return Tensor::from(turned, {columns, rows});
}

Tensor index_of(const std::vector<int32_t>& rows, Device device) { return Tensor::from(rows, device); }

void suspect_rounding(ModelOperation& operation) {
  const Formula formula = operation.formula;
  operation.suspects.push_back(
      {"the operands of the product are rounded to TF32", [formula](const Operands& o) {
         return formula(rounded(o, [](double v) { return double{round_to_tf32(static_cast<float>(v))}; }));
       }});
  operation.suspects.push_back({"the operands of the product are cut to TF32",
                                [formula](const Operands& o) { return formula(rounded(o, cut_to_tf32)); }});
  operation.suspects.push_back(
      {"the operands of the product are rounded to bf16", [formula](const Operands& o) {
         return formula(
             rounded(o, [](double v) { return double{static_cast<float>(bf16(static_cast<float>(v)))}; }));
       }});
}

ModelOperation linear_operation(std::string name, std::string input, const std::string& module,
                                const std::vector<std::string>& others) {
  ModelOperation operation{.name = std::move(name),
                           .inputs = {std::move(input)},
                           .parameters = {module + ".weight", module + ".bias"},
                           .formula = [](const Operands& o) { return linear(o.x[0], o.p[0], o.p[1]); },
                           .is_product = true};
  auto& suspects = operation.suspects;
  suspects.push_back({str("the weight ", module, ".weight is transposed"), [](const Operands& o) {
                        if (o.p[0].size(0) != o.p[0].size(1)) return Tensor();
                        return linear(o.x[0], transposed(o.p[0]), o.p[1]);
                      }});
  suspects.push_back({str("the bias ", module, ".bias is missing"),
                      [](const Operands& o) { return linear(o.x[0], o.p[0], zeros_like(o.p[1])); }});
  suspect_rounding(operation);
  for (const std::string& other : others) {
    if (other == module) continue;
    suspects.push_back(
        {str("the weights of ", other, " stand in the place of ", module, "'s"), [other](const Operands& o) {
           const Tensor weight = o.parameter(other + ".weight");
           if (weight.shape() != o.p[0].shape()) return Tensor();
           return linear(o.x[0], weight, o.parameter(other + ".bias"));
         }});
  }
  return operation;
}

ModelOperation layer_norm_operation(std::string name, std::vector<std::string> inputs,
                                    const std::string& module, double eps,
                                    const std::vector<std::string>& others) {
  const bool residual = inputs.size() == 2;
  ModelOperation operation{.name = std::move(name),
                           .inputs = std::move(inputs),
                           .parameters = {module + ".weight", module + ".bias"},
                           .formula = [eps](const Operands& o) {
                             return o.x.size() == 2
                                        ? dropout_residual_layer_norm(o.x[0], o.x[1], o.p[0], o.p[1], eps)
                                        : layer_norm(o.x[0], o.p[0], o.p[1], eps);
                           }};
  auto& suspects = operation.suspects;
  for (const double other : {1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3})
    if (other != eps)
      suspects.push_back({str("the layer norm's eps is ", other, ", not ", eps), [other](const Operands& o) {
                            return layer_norm(summed(o), o.p[0], o.p[1], other);
                          }});
  if (residual) {
    suspects.push_back({"the residual is dropped",
                        [eps](const Operands& o) { return layer_norm(o.x[0], o.p[0], o.p[1], eps); }});
    suspects.push_back({"the sum with the residual is not normalised (pre-norm in place of post-norm)",
                        [](const Operands& o) { return summed(o); }});
    suspects.push_back(
        {"the residual is added after the layer norm and not before",
         [eps](const Operands& o) { return add(o.x[1], layer_norm(o.x[0], o.p[0], o.p[1], eps)); }});
    suspects.push_back({"the residual is added twice", [eps](const Operands& o) {
                          return layer_norm(add(summed(o), o.x[1]), o.p[0], o.p[1], eps);
                        }});
  } else {
    suspects.push_back({"there is no layer norm", [](const Operands& o) { return o.x[0]; }});
  }
  suspects.push_back({str("the weight ", module, ".weight is missing"), [eps](const Operands& o) {
                        return layer_norm(summed(o), ones_like(o.p[0]), o.p[1], eps);
                      }});
  suspects.push_back({str("the bias ", module, ".bias is missing"), [eps](const Operands& o) {
                        return layer_norm(summed(o), o.p[0], zeros_like(o.p[1]), eps);
                      }});
  suspects.push_back({"the variance is divided by n - 1",
                      [eps](const Operands& o) { return normalised(summed(o), o, eps, true, true); }});
  suspects.push_back({"the mean is not subtracted (RMS norm)",
                      [eps](const Operands& o) { return normalised(summed(o), o, eps, false, false); }});
  for (const std::string& other : others) {
    if (other == module) continue;
    suspects.push_back({str("the weights of ", other, " stand in the place of ", module, "'s"),
                        [other, eps](const Operands& o) {
                          const Tensor weight = o.parameter(other + ".weight");
                          if (weight.shape() != o.p[0].shape()) return Tensor();
                          return layer_norm(summed(o), weight, o.parameter(other + ".bias"), eps);
                        }});
  }
  return operation;
}

}  // namespace tenon
