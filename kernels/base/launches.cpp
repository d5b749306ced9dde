#include "kernels/base/launches.h"

#include <algorithm>
#include <mutex>

namespace tenon {
namespace {

struct Launches {
  static constexpr size_t most = 8;
  struct {
    const char* file;
    int line;
  } places[most];
  size_t count = 0;
  std::mutex mutex;
};

Launches& launches() {
  static auto& all = *new Launches;
  return all;
}

}  // namespace

void note_launch(const char* file, int line) {
  Launches& all = launches();
  std::lock_guard lock(all.mutex);
  all.places[all.count++ % Launches::most] = {file, line};
}

void forget_launches() {
  Launches& all = launches();
  std::lock_guard lock(all.mutex);
  all.count = 0;
}

std::string last_launches() {
  Launches& all = launches();
  std::lock_guard lock(all.mutex);
  std::string text;
  for (size_t back = 1; back <= std::min(all.count, Launches::most); ++back) {
    const auto& place = all.places[(all.count - back) % Launches::most];
    text += str(text.empty() ? "" : ", ", place.file, ":", place.line);
  }
  return text;
}

}  // namespace tenon
