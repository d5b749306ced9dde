// The state of randomness in a run: a seed and the number of the optimiser step. Everything else that a mask
// depends on (module, sequence, position, column) comes from where it is used; see kernels/base/philox.h.
#pragma once
#include "kernels/base/philox.h"

namespace tenon {

void set_random_state(uint64_t seed, uint32_t step);
RandomKey random_key(uint32_t operation);  // of the current state

}  // namespace tenon
