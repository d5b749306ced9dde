// An index that a kernel reads from memory, checked against its table.
#pragma once
#include "kernels/base/index_fault.h"
#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

// The index of a row, or 0 for one outside the table, which the host will hear about.
__device__ inline int64_t checked_index(IndexFault* fault, IndexKind kind, int32_t index, int64_t row,
                                        int64_t size) {
  if (index >= 0 && index < size) return index;
  if (atomic_add(&fault->count, 1) == 0) {
    fault->kind = kind;
    fault->index = index;
    fault->row = row;
    fault->size = size;
  }
  return 0;
}

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
