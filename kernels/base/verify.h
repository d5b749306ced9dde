// Judges a variant on one case of its contract against the fp64 reference, more strictly than a run would:
// outputs are poisoned with NaN and fenced with sentinels, inputs must come back unchanged, and the error is
// measured row by row against that of the plain variant in the same precision. What lies around an input is
// NaN, and on the cpu device a page that must not be touched, so that a read past its end shows.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/guarded_memory.h"
#include "kernels/base/memory.h"
#include "kernels/base/own_shape.h"

namespace tenon {

// The memory of one Args: every view with a buffer of its own between sentinels.
class Problem {
 public:
  // Views keep their shapes and strides. Memory is uninitialised but for the sentinels. Guarded: with pages
  // around each view that must not be touched, on the host.
  Problem(AnyArgs args, Device device, bool guarded = false);

  AnyArgs& args() { return args_; }
  const AnyArgs& args() const { return args_; }
  void load_inputs(const Problem& host);  // from a problem on the host with equal element types
  void poison_outputs();                  // all bytes 0xff: NaN in every floating type
  // Empty, or which sentinel or input was written, or what was touched outside.
  std::string damage(const Problem& host);

 private:
  struct Memory {
    TensorView* view;
    std::string_view name;
    size_t bytes;  // of the elements, gaps between strided rows included
    bool input, output;
    Buffer buffer;                         // or
    std::optional<GuardedMemory> guarded;  // the memory
    char* data;                            // of the elements
    size_t after;                          // bytes of the fence behind them

    // What stands in the fences, and in the gaps between strided rows: a sum with what lies around an input
    // is NaN.
    char surroundings() const { return input && !output ? '\xff' : '\x5a'; }
  };

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

// The case's problem on the host, its inputs filled from the seed. A variation other than 0 draws one in 64
// of the floating ones anew, so that an answer to the same seed without it, kept from earlier, is wrong.
std::unique_ptr<Problem> make_host_problem(const AnyOperation& operation, const AnyCase& of, uint64_t seed,
                                           uint64_t variation = 0);

class Verifier {
 public:
  // Fills the inputs from the seed and computes the reference. Throws if the plain variant is missing.
  Verifier(const AnyOperation& operation, DType dtype, const AnyCase& of, uint64_t seed,
           uint64_t variation = 0);
  Verifier(const AnyOperation& operation, DType dtype, size_t case_index, uint64_t seed)
      : Verifier(operation, dtype, case_at(operation, dtype, case_index), seed) {}

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
