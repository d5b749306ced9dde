// The rules of the tree that a compiler does not check: includes go down, CUDA stays in kernels/, and every
// file of a variant has registered it.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "kernels/base/registry.h"
#include "tests/catch.h"

using namespace tenon;
namespace fs = std::filesystem;

namespace {

const fs::path root = TENON_SOURCE_DIR;
const std::vector<std::string> layers{"kernels", "engine", "models", "tools"};  // from the bottom

bool is_source(const fs::path& path) {
  return path.extension() == ".cpp" || path.extension() == ".h" || path.extension() == ".cu";
}

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Paths from the root, of one layer or of all.
std::vector<std::string> sources(const std::vector<std::string>& folders = layers) {
  std::vector<std::string> found;
  for (const std::string& folder : folders)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder))
      if (entry.is_regular_file() && is_source(entry.path()))
        found.push_back(entry.path().lexically_relative(root).generic_string());
  return found;
}

size_t layer_of(std::string_view path) {
  const auto folder = path.substr(0, path.find('/'));
  return static_cast<size_t>(std::ranges::find(layers, folder) - layers.begin());
}

// The path in `#include <...>` or `#include "..."`, with its first delimiter; empty for any other line.
std::string included(const std::string& line) {
  const size_t begin = line.find_first_of("\"<");
  if (!line.starts_with("#include") || begin == line.npos) return "";
  return line.substr(begin, line.find_first_of("\">", begin + 1) - begin);
}

bool is_cuda_header(const std::string& header) {
  for (const char* name :
       {"cuda", "cublas", "cudnn", "nccl", "cooperative_groups", "mma.h", "curand", "thrust/"})
    if (header.starts_with(std::string("<") + name)) return true;
  return false;
}

// What a line breaks in a file of this path; empty: nothing.
std::string broken_rule(const std::string& path, const std::string& line) {
  const bool in_kernels = path.starts_with("kernels/");
  const std::string header = included(line);
  if (header.starts_with('"')) {
    const size_t layer = layer_of(std::string_view(header).substr(1));
    if (layer == layers.size()) return "an include does not start at the root";
    if (layer > layer_of(path)) return "an include goes up";
  }
  if (!in_kernels && is_cuda_header(header)) return "a CUDA header outside of kernels/";
  if (!in_kernels && line.starts_with("#if") &&
      (line.find("CUDA") != line.npos || line.find("SIMT") != line.npos))
    return "an #if on a device outside of kernels/";
  return "";
}

// Files of an operation that hold no variant: parts of one, compiled for an instruction set; cases of the
// contract; and helpers, which have a header of their own that is not a contract.
bool holds_no_variant(const std::string& path) {
  const fs::path file = path;
  const std::string stem = file.stem().string();
  for (const char* ending : {"_avx512", "_avx512bf16", "_avx2", "_portable"})
    if (stem.ends_with(ending)) return true;
  const fs::path header = root / fs::path(file).replace_extension(".h");
  return stem == "cases" ||
         (fs::exists(header) &&
          contents(header).find("static constexpr std::string_view name") == std::string::npos);
}

// The path from the root of the file that filed a variant; compilers give it as they were given it.
std::string from_root(const std::string& file) {
  const size_t at = file.rfind("kernels/");
  return at == file.npos ? file : file.substr(at);
}

}  // namespace

TEST_CASE("the rules on includes see what breaks them") {
  CHECK(broken_rule("engine/tensor.h", "#include \"kernels/base/view.h\"") == "");
  CHECK(broken_rule("engine/tensor.h", "#include <vector>") == "");
  CHECK(broken_rule("engine/tensor.h", "#include \"models/bert/bert.h\"") == "an include goes up");
  CHECK(broken_rule("kernels/gelu/gelu.cpp", "#include \"engine/tensor.h\"") == "an include goes up");
  CHECK(broken_rule("models/bert/bert.cpp", "#include \"bert.h\"") ==
        "an include does not start at the root");
  CHECK(broken_rule("models/bert/bert.cpp", "#include \"tests/golden.h\"") ==
        "an include does not start at the root");
  CHECK(broken_rule("tools/main.cpp", "#include <cuda_runtime.h>") == "a CUDA header outside of kernels/");
  CHECK(broken_rule("kernels/base/cuda.cpp", "#include <cuda_runtime.h>") == "");
  CHECK(broken_rule("engine/tensor.cpp", "#ifdef __CUDACC__") == "an #if on a device outside of kernels/");
}

TEST_CASE("includes go down, and CUDA stays in kernels/") {
  const auto all = sources();
  REQUIRE(all.size() > 100);
  for (const std::string& path : all) {
    std::ifstream lines(root / path);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      const std::string broken = broken_rule(path, line);
      INFO(path << ":" << number << ": " << line);
      CHECK(broken == "");
    }
  }
}

TEST_CASE("every file of a variant has registered it") {
  std::set<std::string> registered;
  bool cuda = false;
  for (const AnyOperation* operation : operations())
    for (size_t i = 0; i < operation->variant_count(); ++i) {
      registered.insert(from_root(operation->variant(i).file));
      cuda |= operation->variant(i).device == Device::cuda;
    }
  size_t expected = 0;
  for (const std::string& path : sources({"kernels"})) {
    const std::string operation = path.substr(8, path.find('/', 8) - 8);
    if (operation == "base" || operation == "cpu" || operation == "simt") continue;
    if (path.ends_with(".h") || holds_no_variant(path)) continue;
    if (path.ends_with("_vendor.cu") && !cuda) continue;
    ++expected;
    INFO(path << " registered nothing");
    CHECK(registered.contains(path));
  }
  CHECK(expected > 40);
}
