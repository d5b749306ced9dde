#include "tools/loss_curves.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "kernels/base/error.h"

namespace tenon {
namespace {

constexpr int width = 760, height = 420, left = 60, right = 20, top = 40, bottom = 44;
constexpr std::array<const char*, 6> colours{"#b8c4d6", "#c0392b", "#1f618d",
                                             "#1e8449", "#9a7d0a", "#6c3483"};

template <class... Arguments>
std::string format(const char* pattern, Arguments... arguments) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, arguments...);
  return text;
}

// 1, 2 or 5 times a power of ten: about `count` of them fit into the range.
double tick_distance(double range, int count) {
  const double rough = range / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return safe;
}

class Picture {
 public:
  explicit Picture(const std::vector<LossCurve>& curves) {
    low_ = high_ = curves.at(0).losses.at(0);
    for (const LossCurve& curve : curves) {
      steps_ = std::max(steps_, curve.losses.size());
      for (double loss : curve.losses) {
        low_ = std::min(low_, loss);
        high_ = std::max(high_, loss);
      }
    }
    if (high_ == low_) high_ = low_ + 1;
  }

  std::string draw(const std::string& title, const std::vector<LossCurve>& curves) const {
    std::string svg = format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        width, height);
    svg += format("<text x=\"%d\" y=\"20\" font-size=\"14\">", left) + escaped(title) + "</text>\n" + axes();
    for (size_t i = 0; i < curves.size(); ++i) svg += line(curves[i], i) + legend(curves[i], i);
    return svg + "</svg>\n";
  }

 private:
  double x(double step) const {
    const double last = std::max<double>(1, static_cast<double>(steps_ - 1));
    return left + (width - left - right) * (step - 1) / last;
  }
  double y(double loss) const {
    return height - bottom - (height - top - bottom) * (loss - low_) / (high_ - low_);
  }

  std::string axes() const {
    std::string svg;
    const double losses = tick_distance(high_ - low_, 6);
    for (double tick = std::ceil(low_ / losses) * losses; tick <= high_; tick += losses)
      svg += format(
          "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/><text x=\"%d\" y=\"%.1f\" "
          "text-anchor=\"end\">%.3g</text>\n",
          left, width - right, y(tick), y(tick), left - 6, y(tick) + 4, tick);
    const double steps = std::max(1.0, tick_distance(static_cast<double>(steps_), 8));
    for (double tick = steps; tick <= static_cast<double>(steps_); tick += steps)
      svg += format("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x(tick),
                    height - bottom + 16, tick);
    return svg + format("<text x=\"%d\" y=\"%d\">step; loss of training</text>\n", left, height - 8);
  }

  std::string line(const LossCurve& curve, size_t index) const {
    std::string svg = format("<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" points=\"",
                             colours[index % colours.size()], index == 0 ? "5" : "1.2");
    for (size_t i = 0; i < curve.losses.size(); ++i)
      svg += format("%.1f,%.2f ", x(static_cast<double>(i + 1)), y(curve.losses[i]));
    return svg + "\"/>\n";
  }

  std::string legend(const LossCurve& curve, size_t index) const {
    const int at = top + 14 + 18 * static_cast<int>(index);
    return format("<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"4\" fill=\"%s\"/>", width - right - 150,
                  at - 6, colours[index % colours.size()]) +
           format("<text x=\"%d\" y=\"%d\">", width - right - 130, at) + escaped(curve.name) + "</text>\n";
  }

  size_t steps_ = 0;
  double low_, high_;
};

}  // namespace

std::string loss_curves_svg(const std::string& title, const std::vector<LossCurve>& curves) {
  return Picture(curves).draw(title, curves);
}

}  // namespace tenon
