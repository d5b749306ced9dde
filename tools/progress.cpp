#include "tools/progress.h"

#include <unistd.h>

#include <cstdio>

namespace tenon {

Progress::Progress(std::string title, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      start_(std::chrono::steady_clock::now()),
      on_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(); }

void Progress::show(int64_t done, int64_t total, const std::string& note) {
  using std::chrono::duration;
  const auto now = std::chrono::steady_clock::now();
  const bool due = done >= total || duration<double>(now - shown_).count() > 0.1;
  if (!on_terminal_ || !due || total <= 0) return;
  shown_ = now;
  open_ = true;
  const double seconds = duration<double>(now - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
  constexpr int width = 24;
  const int filled = static_cast<int>(width * done / total);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r%s [%s] %3d %%  %.0f %s/s  %s left  %s\033[K", title_.c_str(), bar.c_str(),
               static_cast<int>(100 * done / total), rate, unit_.c_str(), tenon::duration(left).c_str(),
               note.c_str());
  std::fflush(stderr);
}

void Progress::finish() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", static_cast<long>(whole / 3600),
                  static_cast<long>(whole / 60 % 60), static_cast<long>(whole % 60));
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", static_cast<long>(whole / 60),
                  static_cast<long>(whole % 60));
  return text;
}

}  // namespace tenon
