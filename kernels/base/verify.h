// Judges a variant on one case of its contract against the fp64 reference, more strictly than a run would:
// outputs are poisoned with NaN and fenced with sentinels, inputs must come back unchanged, and the error is
// measured row by row against that of the plain variant in the same precision.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"

namespace tenon {

// The memory of one Args: every view with a buffer of its own between sentinels.
class Problem {
 public:
  // Views keep their shapes and strides. Memory is uninitialised but for the sentinels.
  Problem(AnyArgs args, Device device);

  AnyArgs& args() { return args_; }
  const AnyArgs& args() const { return args_; }
  void load_inputs(const Problem& host);    // from a problem on the host with equal element types
  void poison_outputs();                    // all bytes 0xff: NaN in every floating type
  std::string damage(const Problem& host);  // empty, or which sentinel or input was written

 private:
  struct Memory {
    TensorView* view;
    std::string_view name;
    size_t bytes;  // of the elements, gaps between strided rows included
    Buffer buffer;
    bool input, output;
  };
  char* data(const Memory& memory) const;

  Device device_;
  AnyArgs args_;
  std::vector<Memory> memories_;
};

struct RowError {
  double max = 0, rms = 0;
  double scale = 0;  // the largest reference
};

// How wrong plain is in one output.
struct Yardstick {
  std::vector<RowError> rows;  // the most of several draws of the numbers
  double typical = 0;          // root mean square over the output, of the first draw
};

class Verifier {
 public:
  // Fills the inputs from the seed and computes the reference. Throws if the plain variant is missing.
  Verifier(const AnyOperation& operation, DType dtype, size_t case_index, uint64_t seed);

  // Runs the variant on fresh copies. Empty if all holds, else one line: output, index, both values, worst
  // error, its bound, how many elements are wrong.
  std::string judge(size_t variant, Device device) const;

  // The same judgement for outputs that something else has left in `problem`.
  std::string judge_outputs(const Problem& problem, Device device) const;

  const Problem& inputs() const { return *host_; }

 private:
  void measure_plain(const Problem& host, const Problem& reference);

  const AnyOperation& operation_;
  Tolerance tolerance_;
  std::unique_ptr<Problem> host_, reference_;  // inputs as rounded; f64 outputs
  std::vector<Yardstick> yardsticks_;          // of each output
};

}  // namespace tenon
