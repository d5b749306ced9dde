// Loss curves one over another, as an SVG picture.
#pragma once
#include <string>
#include <vector>

namespace tenon {

struct LossCurve {
  std::string name;
  std::vector<double> losses;  // of each step
};

// The first curve is drawn broad, so that others stay visible where they coincide with it.
std::string loss_curves_svg(const std::string& title, const std::vector<LossCurve>& curves);

}  // namespace tenon
