// One operation of the model between an oracle's tensors: on its inputs, with its gradient of the output.
#pragma once
#include <map>

#include "models/ledger/measure.h"
#include "models/ledger/operation.h"
#include "models/ledger/oracle.h"

namespace tenon {

class Isolated {
 public:
  struct Results {
    Tensor y;                                 // undefined where a suspect does not apply
    std::map<std::string, Values> gradients;  // of inputs and parameters; empty without one of the output
  };

  // shapes: of the outputs of operations. The arguments must outlive this.
  Isolated(const ModelOperation& operation, const LedgerModel& model, const Oracle& oracle,
           const PackedBatch& batch, const std::map<std::string, Shape>& shapes);

  void set_output_gradient(const Tensor& dy) { dy_ = dy; }  // fp32, on the host

  Results ours() const;                         // by the kernels and in the precision of this run
  Results exact(const Formula& formula) const;  // in fp64 on the host: the operation, or one of its suspects
  Results perturbed() const;                    // the same with every operand changed: Reference::perturbed

 private:
  Results evaluate(const Formula& formula, std::vector<Tensor> x, std::vector<Tensor> p,
                   const PackedBatch& batch, const Tensor& dy) const;

  const ModelOperation& operation_;
  const LedgerModel& model_;
  const PackedBatch& batch_;
  std::vector<Tensor> inputs_, parameters_;  // fp32, on the host
  Tensor dy_;
};

}  // namespace tenon
