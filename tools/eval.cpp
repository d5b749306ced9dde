// tenon eval: loss, accuracy, confusion and a table by length of a trained model on labelled reviews.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "models/sentiment/run_folder.h"
#include "tools/commands.h"
#include "tools/progress.h"

namespace tenon {
namespace {

using nlohmann::json;

struct EvalCommand {
  std::string run_folder, data;
  Columns columns;
  ComputeOptions compute;
  int64_t batch_size = 32, limit = 0;
  bool as_json = false;

  void run();
};

// Counts of one group of reviews.
struct Confusion {
  int64_t true_positive = 0, true_negative = 0, false_positive = 0, false_negative = 0;

  void add(bool positive, bool predicted) {
    ++(positive ? (predicted ? true_positive : false_negative)
                : (predicted ? false_positive : true_negative));
  }
  int64_t count() const { return true_positive + true_negative + false_positive + false_negative; }
  double accuracy() const {
    return static_cast<double>(true_positive + true_negative) /
           static_cast<double>(std::max<int64_t>(1, count()));
  }
};

constexpr int64_t length_bounds[] = {64, 128, 256, 384, 512, INT64_MAX};

struct Report {
  double loss = 0;
  Confusion all;
  Confusion by_length[std::size(length_bounds)];
};

Report judge(const Examples& examples, const std::vector<double>& probabilities) {
  Report report;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const bool positive = examples.labels[i] > 0.5f, predicted = probabilities[i] >= 0.5;
    const double chosen = positive ? probabilities[i] : 1 - probabilities[i];
    report.loss -= std::log(std::max(chosen, 1e-300)) / static_cast<double>(probabilities.size());
    report.all.add(positive, predicted);
    size_t group = 0;
    while (static_cast<int64_t>(examples.ids[i].size()) > length_bounds[group]) ++group;
    report.by_length[group].add(positive, predicted);
  }
  return report;
}

std::string range_name(size_t group) {
  const int64_t low = group == 0 ? 1 : length_bounds[group - 1] + 1;
  return length_bounds[group] == INT64_MAX ? str("over ", low - 1) : str(low, "-", length_bounds[group]);
}

json to_json(const Report& report) {
  json by_length = json::array();
  for (size_t g = 0; g < std::size(length_bounds); ++g)
    if (report.by_length[g].count() > 0)
      by_length.push_back({{"tokens", range_name(g)},
                           {"count", report.by_length[g].count()},
                           {"accuracy", report.by_length[g].accuracy()}});
  return {{"loss", report.loss},
          {"accuracy", report.all.accuracy()},
          {"count", report.all.count()},
          {"confusion",
           {{"true_positive", report.all.true_positive},
            {"true_negative", report.all.true_negative},
            {"false_positive", report.all.false_positive},
            {"false_negative", report.all.false_negative}}},
          {"by_length", by_length}};
}

void print(const Report& report) {
  std::printf("loss %.4f, accuracy %.2f %% of %ld reviews\n\n", report.loss, 100 * report.all.accuracy(),
              static_cast<long>(report.all.count()));
  std::printf("                    said positive  said negative\n");
  std::printf("is positive         %13ld  %13ld\n", static_cast<long>(report.all.true_positive),
              static_cast<long>(report.all.false_negative));
  std::printf("is negative         %13ld  %13ld\n\n", static_cast<long>(report.all.false_positive),
              static_cast<long>(report.all.true_negative));
  std::printf("tokens        reviews  accuracy\n");
  for (size_t g = 0; g < std::size(length_bounds); ++g)
    if (report.by_length[g].count() > 0)
      std::printf("%-12s  %7ld  %6.2f %%\n", range_name(g).c_str(),
                  static_cast<long>(report.by_length[g].count()), 100 * report.by_length[g].accuracy());
}

void EvalCommand::run() {
  compute.apply();
  const SavedModel saved = load_run(run_folder);
  const Device device = parse_device(compute.device);
  move_to(*saved.model, device);
  Dataset dataset = read_dataset(data, columns);
  std::vector<Review> reviews = std::move(dataset.test.empty() ? dataset.train : dataset.test);
  if (limit > 0) reviews = limited(std::move(reviews), limit);
  const Examples examples = tokenize(reviews, saved.model->encoder().tokenizer(), saved.max_length);
  Progress bar("evaluating", "reviews");
  const auto probabilities =
      sentiment_probabilities(*saved.model, examples, batch_size, saved.pad_batches, device,
                              [&](int64_t done, int64_t all) { bar.show(done, all); });
  bar.finish();
  compute.check_forced_variants();
  const Report report = judge(examples, probabilities);
  if (as_json)
    std::printf("%s\n", to_json(report).dump().c_str());
  else
    print(report);
}

}  // namespace

void add_eval(CLI::App& program) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App* c = program.add_subcommand("eval", "Evaluate a trained model on labelled reviews");
  c->add_option("RUN", command->run_folder, "Folder that 'tenon train' wrote")->required();
  c->add_option("--data", command->data, "As for train; its test part, or all of it where it has none")
      ->required();
  c->add_option("--text-column", command->columns.text, "Column or key of the text")->capture_default_str();
  c->add_option("--label-column", command->columns.label, "Column or key of the label")
      ->capture_default_str();
  c->add_option("--limit", command->limit, "Use N reviews, balanced");
  c->add_option("--batch-size", command->batch_size, "Reviews in a batch")->capture_default_str();
  c->add_flag("--json", command->as_json, "One JSON object: loss, accuracy, count, confusion, by_length");
  command->compute.add_to(*c);
  command->compute.add_dtype_to(*c);
  c->footer("Example:\n  tenon eval run --data aclImdb_v1.tar.gz --limit 2000");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
