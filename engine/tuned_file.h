// The table of tuned variants (kernels/base/tuned.h) as a JSON file, which may hold those of several
// machines:
//   {"version": 1, "choices": [{"device": "cpu", "machine": "AMD EPYC 9B45", "op": "matmul", "dtype": "f32",
//                               "shape": "1024x1024 4096x1024 4096", "variant": "packed_avx512", …}]}
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "kernels/base/tuned.h"

namespace tenon {

// TENON_TUNED, or tenon/tuned.json in XDG_CACHE_HOME or ~/.cache. Empty: there is none.
std::filesystem::path tuned_file();

nlohmann::json to_json(const TunedChoice& choice);  // with this machine's name

// The choices for a device that were measured on this machine, or on any; none where there is no file.
// Throws, naming the file, where it is none of these tables.
enum class Machine : uint8_t { this_one, any };
std::vector<TunedChoice> read_tuned(const std::filesystem::path& file, Device device,
                                    Machine machine = Machine::this_one);

// Puts the entries in the place of those of the same machine, operation, type and shape, and keeps all
// others. An entry without a variant only takes the old one away.
void add_to_tuned_file(const std::filesystem::path& file, const nlohmann::json& entries);

}  // namespace tenon
