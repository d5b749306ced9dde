// A mark in a device's queue: reached once all that stands before it is done.
#pragma once
#include <chrono>

#include "kernels/base/stream.h"

namespace tenon {

class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(const Stream& stream);
  void wait() const;                                 // holds the host until it is reached
  double seconds_since(const Event& earlier) const;  // between two marks that were reached

 private:
  Device device_;
  void* handle_ = nullptr;                      // cudaEvent_t on cuda
  std::chrono::steady_clock::time_point time_;  // of record(), elsewhere
};

}  // namespace tenon
