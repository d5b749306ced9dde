// The tables that a profiled training ends with: profile.json holds the rest.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "kernels/base/statistics.h"
#include "tools/profile.h"

namespace tenon {
namespace {

using nlohmann::json;

constexpr size_t shown_operations = 16, shown_layers = 12;

struct Row {
  std::vector<std::string> labels;
  double calls = 0, seconds = 0, bound = 0, flops = 0, bytes = 0;
  bool bounded = true;  // a bound is known for all that was added
};

// "bert.encoder.layer.3.output.dense" is one of "bert.encoder.layer.*.output.dense".
std::string without_numbers(const std::string& layer) {
  std::string kept;
  for (size_t begin = 0; begin <= layer.size();) {
    const size_t end = std::min(layer.find('.', begin), layer.size());
    const std::string part = layer.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    kept += (begin ? "." : "") + (number ? "*" : part);
    begin = end + 1;
  }
  return kept;
}

// Rows of the same labels added up, the costliest first: of operations that ran within this one, or of those
// that ran by themselves.
template <class Labels>
std::vector<Row> rows_by(const json& operations, bool timed, Labels labels, const std::string& within = "",
                         const std::string& section = "") {
  std::map<std::vector<std::string>, Row> sums;
  for (const json& operation : operations) {
    if (operation["within"] != within || (!within.empty() && operation["section"] != section)) continue;
    Row& row = sums[labels(operation)];
    row.calls += operation["calls"].get<double>();
    row.flops += operation["flops"].get<double>();
    row.bytes += operation["bytes"].get<double>();
    if (timed) row.seconds += operation["seconds"].get<double>();
    row.bounded &= operation["bound_seconds"].is_number();
    if (row.bounded) row.bound += operation["bound_seconds"].get<double>();
  }
  std::vector<Row> rows;
  for (auto& [key, row] : sums) {
    row.labels = key;
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [timed](const Row& a, const Row& b) {
    return timed ? a.seconds > b.seconds : a.bytes > b.bytes;
  });
  return rows;
}

class Tables {
 public:
  explicit Tables(const json& summary)
      : summary_(summary),
        timed_(summary["timed"].get<bool>()),
        steps_(summary["steps"].get<double>()),
        seconds_(timed_ ? summary["seconds"].get<double>() : 0) {}

  void print() const {
    print_stages();
    if (steps_ == 0) {
      std::printf("profile: the run ended before a step was recorded\n");
      return;
    }
    print_head();
    if (timed_) print_sections();
    print_operations();
    print_layers();
  }

 private:
  double per_step(double sum) const { return sum / steps_; }

  void print_stages() const {
    if (!timed_) return;
    const double all = summary_["run_seconds"].get<double>();
    std::printf("\nprofile of the run, %.1f s\n", all);
    for (const json& stage : summary_["stages"])
      std::printf("  %-20s %9.2f s  %5.1f %%\n", stage["stage"].get<std::string>().c_str(),
                  stage["seconds"].get<double>(), 100 * stage["seconds"].get<double>() / all);
  }

  void print_head() const {
    std::printf("\nprofile of steps %ld to %ld on %s", summary_["first_step"].get<long>(),
                summary_["last_step"].get<long>(), summary_["device"].get<std::string>().c_str());
    if (!timed_) {
      std::printf(": calls and bytes; its times would say nothing of a GPU\n");
      return;
    }
    const auto each = summary_["step_seconds"].get<std::vector<double>>();
    std::printf(": %.2f ms a step (median; 10 %% - 90 %%: %.2f - %.2f)\n", 1e3 * quantile(each, 0.5),
                1e3 * quantile(each, 0.1), 1e3 * quantile(each, 0.9));
  }

  void print_sections() const {
    std::printf("  %-30s %10s %7s %17s %10s\n", "section", "ms/step", "share", "in operations", "elsewhere");
    std::vector<json> sections = summary_["sections"];
    std::stable_sort(sections.begin(), sections.end(), [](const json& a, const json& b) {
      return a["seconds"].get<double>() > b["seconds"].get<double>();
    });
    for (const json& s : sections) {
      const auto name = s["section"].get<std::string>();
      std::printf("  %-30s %10.3f %5.1f %% %17.3f %10.3f\n", name.empty() ? "in no section" : name.c_str(),
                  1e3 * per_step(s["seconds"].get<double>()), 100 * s["share"].get<double>(),
                  1e3 * per_step(s["in_operations"].get<double>()),
                  1e3 * per_step(s["elsewhere"].get<double>()));
    }
  }

  void print_operations() const {
    const auto labels = [](const json& o) {
      return std::vector<std::string>{o["op"], o["variant"], o["dtype"], o["section"]};
    };
    const auto rows = rows_by(summary_["operations"], timed_, labels);
    std::printf("\n  %-37s %-24s %-5s %-10s", "operation", "variant", "dtype", "section");
    print_columns();
    for (size_t i = 0; i < std::min(rows.size(), shown_operations); ++i) {
      print_operation(rows[i], "");
      for (const Row& inner :
           rows_by(summary_["operations"], timed_, labels, rows[i].labels[0], rows[i].labels[3]))
        print_operation(inner, "  in it: ");
    }
    print_rest(rows, shown_operations, "operations");
  }

  void print_operation(const Row& row, const std::string& indent) const {
    std::printf("  %-37s %-24s %-5s %-10s", (indent + row.labels[0]).c_str(), row.labels[1].c_str(),
                row.labels[2].c_str(), row.labels[3].c_str());
    print_figures(row);
  }

  void print_layers() const {
    const auto rows = rows_by(summary_["operations"], timed_, [](const json& o) {
      const std::string layer = without_numbers(o["layer"]);
      return std::vector<std::string>{layer.empty() ? "(no layer)" : layer, o["section"]};
    });
    std::printf("\n  %-68s %-10s", "layer", "section");
    print_columns();
    for (size_t i = 0; i < std::min(rows.size(), shown_layers); ++i) {
      std::printf("  %-68s %-10s", rows[i].labels[0].c_str(), rows[i].labels[1].c_str());
      print_figures(rows[i]);
    }
    print_rest(rows, shown_layers, "layers");
    std::printf("\n");
  }

  void print_columns() const {
    if (timed_)
      std::printf(" %10s %9s %7s %9s %9s\n", "calls/step", "ms/step", "share", "roofline", "MB/step");
    else
      std::printf(" %10s %12s %9s\n", "calls/step", "MFLOP/step", "MB/step");
  }

  void print_figures(const Row& row) const {
    std::printf(" %10.1f", per_step(row.calls));
    if (!timed_) {
      std::printf(" %12.3f %9.3f\n", per_step(row.flops) / 1e6, per_step(row.bytes) / 1e6);
      return;
    }
    std::printf(" %9.3f %5.1f %%", 1e3 * per_step(row.seconds), 100 * row.seconds / seconds_);
    if (row.bounded && row.seconds > 0)
      std::printf(" %7.0f %%", 100 * row.bound / row.seconds);
    else
      std::printf(" %9s", "-");
    std::printf(" %9.2f\n", per_step(row.bytes) / 1e6);
  }

  void print_rest(const std::vector<Row>& rows, size_t shown, const char* what) const {
    if (rows.size() <= shown) return;
    double seconds = 0;
    for (size_t i = shown; i < rows.size(); ++i) seconds += rows[i].seconds;
    std::printf("  and %zu other %s", rows.size() - shown, what);
    if (timed_) std::printf(", %.1f %% together", 100 * seconds / seconds_);
    std::printf("\n");
  }

  const json& summary_;
  const bool timed_;
  const double steps_, seconds_;
};

}  // namespace

void print_profile(const json& summary) { Tables(summary).print(); }

}  // namespace tenon
