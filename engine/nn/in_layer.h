// Which layer a profile charges operations to: the module whose forward is on its way, under its name in the
// model ("bert.encoder.layer.3.output.dense"), and on the way back the same one.
#pragma once
#include "engine/nn/module.h"
#include "kernels/base/profile.h"

namespace tenon {

// Names every module below the root.
void name_layers(Profiler& profiler, Module& root);

// Stands at the head of a module's forward. A module without a name counts as part of the one around it.
class InLayer {
 public:
  explicit InLayer(const Module& module) : scope_(profiling() ? layer_of(&module) : 0) {}
  // A part that is no module of its own, such as a layer of a GRU: "rnn.l1".
  InLayer(const Module& module, size_t part) : scope_(profiling() ? layer_of(&module, part) : 0) {}

 private:
  LayerScope scope_;
};

}  // namespace tenon
