#include "engine/random.h"

namespace tenon {
namespace {
RandomKey current;
}

void set_random_state(uint64_t seed, uint32_t step) { current = {seed, step, 0}; }

RandomKey random_key(uint32_t operation) { return {current.seed, current.step, operation}; }

}  // namespace tenon
