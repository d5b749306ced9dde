// The directory of a zip archive, zip64 included (PKWARE's APPNOTE 6.3.10). Only stored members: they can be
// used where they lie in the file, which is why PyTorch stores them so.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "engine/io/file.h"

namespace tenon {

// The members' bytes by name. Compressed or encrypted members, equal names and a damaged directory are
// Errors.
std::map<std::string, std::string_view, std::less<>> read_zip(const MappedFile& file);

}  // namespace tenon
