// What a benchmark's JSON says of the machine and the build.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace tenon {

// {"date", "machine", "system", "processor", "threads", "last_level_cache_bytes", "compiler", "flags",
//  "revision", "dirty"}: the date is UTC, the revision that of the sources at the build; dirty: they differed
//  from it.
nlohmann::json machine_and_build();

}  // namespace tenon
