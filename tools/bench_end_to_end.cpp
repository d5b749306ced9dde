#include "tools/bench_end_to_end.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "engine/precision.h"
#include "kernels/base/philox.h"
#include "kernels/base/select.h"
#include "kernels/base/statistics.h"
#include "models/data/reviews.h"
#include "tools/loss_curves.h"
#include "tools/machine.h"
#include "tools/progress.h"

namespace tenon {
namespace {

using nlohmann::json;

// A training with one variant, and what was measured of it.
struct Side {
  std::string variant;
  std::unique_ptr<SentimentModel> model;
  std::unique_ptr<SentimentTask> task;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Trainer> trainer;
  std::vector<double> seconds, losses;  // of each step
};

struct Deviation {
  double value = 0;
  size_t step = 0;  // from 1; 0: there is none
};

Deviation largest_deviation(const std::vector<double>& from, const std::vector<double>& to) {
  Deviation largest;
  for (size_t i = 0; i < from.size(); ++i)
    if (const double deviation = std::fabs(to[i] - from[i]); deviation > largest.value)
      largest = {deviation, i + 1};
  return largest;
}

class Comparison {
 public:
  Comparison(EndToEnd& options, const ComputeOptions& compute)
      : options_(options), compute_(compute), device_(parse_device(compute.device)) {
    as_usage([&] { choose_variants(); });
  }

  void run() {
    read_data();
    for (Side& side : sides_) prepare(side);
    Progress bar("training", "steps");
    for (int64_t step = 0; step < options_.steps; ++step) {
      for (size_t side : shuffled(step)) train_step(sides_[side], step);
      bar.show(step + 1, options_.steps);
    }
    bar.finish();
    const json result = summarize();
    print(result);
    write(result);
  }

 private:
  void choose_variants() {
    const std::string& text = options_.comparison;
    const size_t equals = text.find('=');
    check(equals != text.npos, "--end-to-end ", text, ": write it as operation=variant,variant");
    operation_ = find_operation(text.substr(0, equals));
    check(operation_ != nullptr, "--end-to-end ", text, ": there is no operation '", text.substr(0, equals),
          "'; 'tenon kernels' lists them");
    for (size_t begin = equals + 1; begin <= text.size();) {
      const size_t comma = std::min(text.find(',', begin), text.size());
      sides_.emplace_back().variant = text.substr(begin, comma - begin);
      force(sides_.back());  // throws where there is no such variant
      begin = comma + 1;
    }
    check(sides_.size() > 1, "--end-to-end ", text,
          ": name two variants or more; the same one twice shows the noise");
  }

  void force(const Side& side) const {
    clear_forced_variants();
    compute_.force_variants();
    force_variants(str(operation_->name(), "=", side.variant));
    check_forced_variants(device_, element_types(precision()));
  }

  void read_data() {
    const SentimentSettings& s = options_.settings;
    const auto encoder = load_encoder(s.encoder);
    const int max_length = s.max_length > 0 ? s.max_length : encoder->max_length();
    check(max_length <= encoder->max_length(), "--max-length ", max_length, " is over the ",
          encoder->max_length(), " positions of ", s.encoder);
    const Split parts = split(read_dataset(s.data, s.columns), s.split);
    train_ = tokenize(parts.train, encoder->tokenizer(), max_length);
  }

  // A new order in each step, so that none always finds the caches as the same other one left them.
  std::vector<size_t> shuffled(int64_t step) const {
    const RandomKey random{options_.settings.seed, static_cast<uint32_t>(step),
                           operation_key("order of sides")};
    std::vector<size_t> order(sides_.size());
    for (size_t i = 0; i < order.size(); ++i) {
      order[i] = i;
      std::swap(order[i], order[random(i) % (i + 1)]);
    }
    return order;
  }

  void prepare(Side& side) const {
    force(side);
    const SentimentSettings& s = options_.settings;
    side.model = std::make_unique<SentimentModel>(load_encoder(s.encoder), s.head);
    side.model->init_head(s.seed);
    side.task = std::make_unique<SentimentTask>(*side.model, train_, no_examples_, s.task_options());
    side.optimizer = s.make_optimizer(*side.model);
    side.trainer = std::make_unique<Trainer>(*side.task, *side.optimizer, s.train_options(), no_checkpoints_,
                                             TrainObserver{});
  }

  void train_step(Side& side, int64_t step) {
    force(side);
    VariantInfo& variant = info(side);
    if (step == 0) variant.used = false;
    const auto batches = static_cast<int64_t>(side.task->batches(0).size());
    const auto batch = side.task->batches(step / batches)[static_cast<size_t>(step % batches)];
    const auto start = std::chrono::steady_clock::now();
    side.losses.push_back(side.trainer->step_on(batch));
    Stream::current(device_).synchronize();
    side.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    check_forced_variants_used();
    check(variant.used, "--end-to-end ", options_.comparison, ": ", operation_->name(), "=", side.variant,
          " was not called in a training step, so there is nothing to compare",
          options_.settings.cache_features ? "; the encoder's operations run only without --cache-features"
                                           : "");
  }

  VariantInfo& info(const Side& side) const {
    for (size_t i = 0; i < operation_->variant_count(); ++i)
      if (VariantInfo& variant = operation_->variant(i);
          variant.name == side.variant && variant.device == device_)
        return variant;
    fail(operation_->name(), " has no variant ", side.variant, " for ", device_);
  }

  // The first steps fill caches and pools.
  size_t warm_up() const { return static_cast<size_t>(std::min<int64_t>(10, options_.steps / 5)); }

  std::vector<double> timed(const Side& side) const {
    return {side.seconds.begin() + static_cast<std::ptrdiff_t>(warm_up()), side.seconds.end()};
  }

  json summarize() const {
    json result = {{"operation", operation_->name()},
                   {"device", to_string(device_)},
                   {"timed", device_ != Device::simt},
                   {"steps", options_.steps},
                   {"warm_up", warm_up()},
                   {"settings", to_json(options_.settings)},
                   {"variants", json::array()}};
    const Side& first = sides_[0];
    for (const Side& side : sides_) {
      const Deviation deviation = largest_deviation(first.losses, side.losses);
      json line = {{"variant", side.variant},
                   {"losses", side.losses},
                   {"largest_deviation", deviation.value},
                   {"largest_deviation_step", deviation.step}};
      if (device_ != Device::simt) {
        const auto seconds = timed(side);
        const Interval ratio = paired_ratio(seconds, timed(first));
        line.update({{"seconds", side.seconds},
                     {"median_ms", 1e3 * quantile(seconds, 0.5)},
                     {"p10_ms", 1e3 * quantile(seconds, 0.1)},
                     {"p90_ms", 1e3 * quantile(seconds, 0.9)},
                     {"times", ratio.estimate},
                     {"times_interval_99", {ratio.low, ratio.high}}});
      }
      result["variants"].push_back(line);
    }
    return result;
  }

  void print(const json& result) const {
    std::printf("%s: %ld steps of the same training with each variant in turn, on %s\n",
                std::string(operation_->name()).c_str(), static_cast<long>(options_.steps),
                to_string(device_).c_str());
    std::printf("  %-24s %10s %19s %7s %15s %10s  %s\n", "variant", "ms/step", "10 % - 90 %", "times",
                "99 % of it", "last loss", "largest deviation from the first");
    for (const json& v : result["variants"]) {
      std::printf("  %-24s", v["variant"].get<std::string>().c_str());
      if (result["timed"].get<bool>())
        std::printf(" %10.3f %9.3f-%9.3f %7.3f %7.3f-%7.3f", v["median_ms"].get<double>(),
                    v["p10_ms"].get<double>(), v["p90_ms"].get<double>(), v["times"].get<double>(),
                    v["times_interval_99"][0].get<double>(), v["times_interval_99"][1].get<double>());
      else
        std::printf(" %10s %19s %7s %15s", "-", "-", "-", "-");
      std::printf(" %10.5f", v["losses"].back().get<double>());
      if (v["largest_deviation_step"] == 0)
        std::printf("  none\n");
      else
        std::printf("  %.2g at step %ld\n", v["largest_deviation"].get<double>(),
                    v["largest_deviation_step"].get<long>());
    }
    std::printf(
        device_ == Device::simt
            ? "simt's times would say nothing of a GPU\n"
            : "times: median over steps of the variant's time over the first one's in the same step\n");
  }

  void write(const json& result) const {
    json report = machine_and_build();
    report["end_to_end"] = result;
    if (!options_.json_file.empty()) write_file_atomically(options_.json_file, report.dump(1) + "\n");
    if (options_.svg_file.empty()) return;
    std::vector<LossCurve> curves;
    for (const Side& side : sides_) curves.push_back({side.variant, side.losses});
    write_file_atomically(options_.svg_file,
                          loss_curves_svg(str("training with each variant of ", operation_->name()), curves));
  }

  EndToEnd& options_;
  const ComputeOptions& compute_;
  const Device device_;
  const AnyOperation* operation_ = nullptr;
  Examples train_;
  const Examples no_examples_;
  const CheckpointStore no_checkpoints_{""};  // step_on() writes none
  std::vector<Side> sides_;
};

}  // namespace

void EndToEnd::add_to(CLI::App& c) {
  const char* group = "End to end";
  c.add_option("--end-to-end", comparison, "operation=variant,variant: train with each in turn")
      ->group(group);
  c.add_option("--encoder", settings.encoder, "Folder of a HuggingFace BERT")->group(group);
  c.add_option("--text-column", settings.columns.text, "As of tenon train")->group(group);
  c.add_option("--label-column", settings.columns.label, "As of tenon train")->group(group);
  c.add_option("--train-limit", settings.split.train_limit, "Use N training reviews, balanced")->group(group);
  c.add_option("--max-length", settings.max_length, "Cut reviews to N tokens")->group(group);
  c.add_option("--steps", steps, "Steps with each variant")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str()
      ->group(group);
  c.add_option("--batch-size", settings.batch_size, "Reviews in a batch")
      ->capture_default_str()
      ->group(group);
  c.add_option("--hidden-size", settings.head.hidden_size, "State of the GRU")
      ->capture_default_str()
      ->group(group);
  c.add_option("--lr", settings.lr, "Learning rate")->capture_default_str()->group(group);
  c.add_option("--seed", settings.seed, "Seed of everything random")->capture_default_str()->group(group);
  c.add_flag("--fine-tune", settings.fine_tune, "Train the encoder, too")->group(group);
  c.add_flag("--cache-features", settings.cache_features, "Compute the frozen encoder's features before")
      ->group(group);
  c.add_option("--svg", svg_file, "Draw the loss curves into this file")->group(group);
}

void EndToEnd::run(ComputeOptions compute, const std::string& dtype) {
  as_usage([&] {
    check(!settings.encoder.empty() && !settings.data.empty(),
          "--end-to-end needs --encoder and --data, as tenon train does");
    settings.validate();
  });
  compute.dtype = dtype == "f32" ? "fp32" : dtype;
  compute.apply();
  settings.device = compute.device;
  settings.dtype = compute.dtype;
  settings.kernels = forced_variants();
  settings.split.seed = settings.seed;
  Comparison(*this, compute).run();
}

}  // namespace tenon
