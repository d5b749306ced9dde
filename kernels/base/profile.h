// Marks in time around what a training step does: its sections (data, forward, backward, …), and in them
// every operation with its variant, its layer and its cost. While nothing is profiled an operation pays for
// one branch. On a device whose calls return early the marks stand in its queue and are read later, so that
// no step waits for them.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/op.h"

namespace tenon {

struct Span {
  enum class Kind : uint8_t { step, section, operation };

  Kind kind = Kind::operation;
  int parent = -1;                // index of the span around it; -1 for a step
  int64_t step = 0;               // number of the step it belongs to
  std::string_view name = {};     // of the section or the operation
  std::string_view variant = {};  // of an operation, like what follows
  Device device = Device::cpu;    // where it ran
  DType dtype = DType::f32;
  int layer = 0;  // index into Profile::layers
  Cost cost = {};
  // Seconds since the profile began: by the host's clock, and in the queue of the profile's device. Where
  // calls have finished when they return these are the same.
  double host_begin = 0, host_end = 0, begin = 0, end = 0;
};

// What comes before, between and after recorded steps, by the host's clock.
struct Stage {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
};

struct Profile {
  Device device = Device::cpu;
  std::vector<Span> spans;              // in the order of their beginnings
  std::vector<std::string> layers{""};  // names; the first stands for none
  std::vector<Stage> stages;            // in the order of their first ends
  double seconds = 0;                   // from the beginning to finish()
};

// While it lives, the only one of its process is told of all that the thread does which made it.
class Profiler {
 public:
  explicit Profiler(Device device);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  // Steps of these numbers are recorded, both included; before this is called, none.
  void record_steps(int64_t first, int64_t last);
  // Names the layer that is known by this address; see LayerScope.
  void name_layer(const void* module, const std::string& name);
  // Reads the marks that were not read yet, and ends the recording.
  Profile finish();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

namespace detail {
extern std::atomic<bool> recording;
}
// Whether a step is being recorded.
inline bool profiling() { return detail::recording.load(std::memory_order_relaxed); }

// One optimiser step, counted from 1.
class ProfiledStep {
 public:
  explicit ProfiledStep(int64_t number);
  ~ProfiledStep();
  ProfiledStep(const ProfiledStep&) = delete;
  ProfiledStep& operator=(const ProfiledStep&) = delete;

 private:
  Profiler::State* profiler_;
  double begin_ = 0;
};

// Within a recorded step, a span; outside of steps, a stage. name: a literal.
class Section {
 public:
  explicit Section(std::string_view name);
  ~Section();
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  Profiler::State* profiler_;
  std::string_view name_;
  int span_ = -1;
  double begin_ = 0;
};

class OperationSpan {
 public:
  OperationSpan(std::string_view name, std::string_view variant, DType dtype, Device device,
                const Cost& cost);
  ~OperationSpan();
  OperationSpan(const OperationSpan&) = delete;
  OperationSpan& operator=(const OperationSpan&) = delete;

 private:
  Profiler::State* profiler_;
  int span_ = -1;
};

// The layer that operations are charged to; 0: none. The tape remembers it for the backward.
int current_layer();
// The layer that was named by this address, or the part of it that is numbered ("rnn" and 1: "rnn.l1"). The
// current layer where there is no such name.
int layer_of(const void* module);
int layer_of(const void* module, size_t part);
class LayerScope {
 public:
  explicit LayerScope(int layer);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

 private:
  Profiler::State* profiler_;
  int before_ = 0;
};

// Keeps until the end of the step what an upload brought to an address of a device: a cost may depend on it,
// as attention's on the lengths, and the host cannot read it there.
void remember_on_host(const void* on_device, std::vector<int32_t> values);
void* remembered_on_host(const void* on_device);  // null if it is not

template <Operation Op>
Cost cost_by_host(const typename Op::Args& args, Device device) {
  if (device == Device::cpu) return Op::cost(args);
  typename Op::Args readable = args;
  for (auto& [name, view] : Op::inputs(readable)) view->data = remembered_on_host(view->data);
  return Op::cost(readable);
}

}  // namespace tenon
