// Which sequences make up each batch of an epoch. The order is a pure function of lengths, options and epoch,
// the same on every machine, so a run that resumes at (epoch, step) sees the batches that it would have seen.
#pragma once
#include <cstdint>
#include <vector>

namespace tenon {

enum class BatchOrder {
  sequential,  // as the sequences stand, batch_size each
  sorted,      // longest first, batch_size each: for evaluation; a batch too large for memory shows at once
  random,      // shuffled, batch_size each
  bucketed,    // shuffled; pools of pool_batches batches are sorted by length; their batches are shuffled
  packed,      // shuffled; a batch takes sequences while they fit token_budget
};

struct BatchOptions {
  BatchOrder order = BatchOrder::random;
  int64_t batch_size = 128;    // sequences; unused by packed
  int64_t token_budget = 0;    // tokens of a packed batch, at least the longest sequence
  int64_t pool_batches = 100;  // bucketed
  uint64_t seed = 0;
};

class Batches {
 public:
  // lengths: tokens of each sequence. Throws Error for a size that is not positive, or a sequence over the
  // budget.
  Batches(std::vector<int64_t> lengths, const BatchOptions& options);

  // Indices into lengths; each occurs exactly once in an epoch. No batch is empty; the short one may stand
  // anywhere.
  std::vector<std::vector<int64_t>> epoch(int64_t number) const;

 private:
  std::vector<int64_t> lengths_;
  BatchOptions options_;
};

}  // namespace tenon
