// Indices outside their tables, found by a kernel. A kernel cannot throw: it leaves what it found in a record
// on its device and goes on with row 0, and the host throws when it next waits for the device, at
// Stream::synchronize() or a copy to the host. So the check costs no wait of its own.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/base/device.h"

namespace tenon {

enum class IndexKind : int32_t { token_id, position, token_type, row, label };

struct IndexFault {
  int32_t count;  // of indices outside their tables; the first to be counted fills in the rest
  IndexKind kind;
  int64_t index, row, size;
};

// "token id 30600 at row 3 is past the vocabulary of 30522; …": what is wrong with this index.
std::string describe(const IndexFault& fault);

// The record of a device, for a kernel that is about to be launched.
IndexFault* index_fault(Device device);

// Throws what a kernel has found since the last call, if one was given the record. Waits for the device then.
void throw_index_fault(Device device);

}  // namespace tenon
