// A bar with rate and time left, on standard error and on a terminal only.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace tenon {

class Progress {
 public:
  // unit: of what is counted, "tokens".
  Progress(std::string title, std::string unit);
  ~Progress();

  // note: shown after the bar ("loss 0.412").
  void show(int64_t done, int64_t total, const std::string& note = "");
  void finish();  // ends the line

 private:
  std::string title_, unit_;
  std::chrono::steady_clock::time_point start_, shown_;
  bool on_terminal_, open_ = false;
};

std::string duration(double seconds);  // "1:02:03", "4:05"

}  // namespace tenon
