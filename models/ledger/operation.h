// A model as a list of operations that can be run one by one on tensors from elsewhere, each with what people
// usually get wrong in it. Names are PyTorch's module paths.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/nn/module.h"
#include "engine/nn/packed_batch.h"

namespace tenon {

struct Operands {
  std::vector<Tensor> x;  // outputs of the operations before, all of one element type
  std::vector<Tensor> p;  // parameters, in the same
  const PackedBatch& batch;
  // Any parameter of the model in fp64; for suspects only.
  std::function<Tensor(const std::string& name)> parameter;
};

using Formula = std::function<Tensor(const Operands&)>;

// The operation with one mistake. It is run in fp64 on the host; an undefined result means that it does not
// apply.
struct Suspect {
  std::string cause;  // "the GELU is in its tanh form"
  Formula formula;
};

struct ModelOperation {
  std::string name;  // of its output: "bert.encoder.layer.0.attention.self.query"
  std::vector<std::string> inputs, parameters;
  Formula formula;
  std::vector<Suspect> suspects;
  bool is_product = false;      // its operands may be rounded to tf32
  bool full_precision = false;  // fp32 even where activations are bf16
};

struct LedgerModel {
  std::vector<ModelOperation> operations;  // in the order of the forward
  NamedParameters parameters;              // by the names that the operations use, on `device`
  Device device = Device::cpu;
  // Runs the model as it is used; the names it hands to watched() are the operations'.
  std::function<void(const PackedBatch& batch)> run;

  Tensor& parameter(const std::string& name) const;  // throws for an unknown one
};

// What several models' operations share. `x` and `p` of the operands are as torch.nn.Linear and
// torch.nn.LayerNorm have them: p[0] weight, p[1] bias. `others` are the names of the model's further
// weights.
ModelOperation linear_operation(std::string name, std::string input, const std::string& module,
                                const std::vector<std::string>& others);
// layer_norm(x[0] + x[1]), or of x[0] alone.
ModelOperation layer_norm_operation(std::string name, std::vector<std::string> inputs,
                                    const std::string& module, double eps,
                                    const std::vector<std::string>& others);
// For products: the operands rounded as a tensor core does.
void suspect_rounding(ModelOperation& operation);

// Host tensors in fp64, without a gradient: for suspects.
Tensor transposed(const Tensor& matrix);
Tensor index_of(const std::vector<int32_t>& rows, Device device = Device::cpu);

}  // namespace tenon
