// The processor's caches.
#pragma once
#include <cstddef>

namespace tenon {

size_t last_level_cache_bytes();

}  // namespace tenon
