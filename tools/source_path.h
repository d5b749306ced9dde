// How the program names source files.
#pragma once
#include <string>

namespace tenon {

// From kernels/ on, where the path has that: compilers give it as they were given it.
inline std::string source_path(const std::string& file) {
  const size_t at = file.rfind("kernels/");
  return at == file.npos ? file : file.substr(at);
}

}  // namespace tenon
