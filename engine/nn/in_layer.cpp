#include "engine/nn/in_layer.h"

namespace tenon {
namespace {

class Naming final : public Visitor {
 public:
  Naming(Profiler& profiler, std::string prefix) : profiler_(profiler), prefix_(std::move(prefix)) {}
  void operator()(std::string_view, Tensor&) override {}
  void operator()(std::string_view name, Module& child) override {
    const std::string whole = str(prefix_, name);
    profiler_.name_layer(&child, whole);
    Naming below(profiler_, whole + ".");
    child.visit(below);
  }

 private:
  Profiler& profiler_;
  std::string prefix_;
};

}  // namespace

void name_layers(Profiler& profiler, Module& root) {
  Naming naming(profiler, "");
  root.visit(naming);
}

}  // namespace tenon
