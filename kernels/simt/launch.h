// What a launch says, the same for the cuda and the simt build, and the limits that hold for both.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace tenon {

// The place of a call, taken as a default argument. std::source_location says the same, but not under
// clang 14.
struct Here {
  const char* file = "";
  int line = 0;

  static constexpr Here current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    Here here;
    here.file = file;
    here.line = line;
    return here;
  }
  constexpr bool operator==(const Here& other) const { return file == other.file && line == other.line; }
};
std::string to_string(const Here& here);  // file:line

// An extent in blocks or threads.
struct Dim3 {
  int64_t x, y, z;

  constexpr Dim3(int64_t nx = 1, int64_t ny = 1, int64_t nz = 1) : x(nx), y(ny), z(nz) {}
  constexpr int64_t count() const { return x * y * z; }
};

struct LaunchConfig {
  Dim3 grid = 1;             // blocks; an empty grid runs nothing
  Dim3 block = 1;            // threads, at most 1024
  size_t shared_bytes = 0;   // of each block, at most 227 KB; shared<T>() needs sizeof(T)
  int64_t cluster = 1;       // blocks along x, at most 8, that run together as in cluster.h; divides grid.x
  bool cooperative = false;  // all blocks run together, and sync_grid() is theirs (grid.h)
  Here where = Here::current();
};

constexpr int64_t ceil_div(int64_t size, int64_t part) { return (size + part - 1) / part; }

// Throws where a GPU would refuse the launch.
void check_launch(const LaunchConfig& config);

}  // namespace tenon
