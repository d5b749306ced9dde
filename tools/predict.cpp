// tenon predict: the sentiment of texts, by a trained model.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "models/sentiment/run_folder.h"
#include "tools/commands.h"
#include "tools/texts.h"

namespace tenon {
namespace {

struct PredictCommand {
  std::string run_folder;
  TextSource texts;
  ComputeOptions compute;
  int64_t batch_size = 32;
  bool as_json = false;

  void run() {
    compute.apply();
    const SavedModel saved = load_run(run_folder);
    const Device device = parse_device(compute.device);
    move_to(*saved.model, device);
    std::vector<Review> reviews;
    for (std::string& text : texts.read()) reviews.push_back({std::move(text), 0, ""});
    const Examples examples = tokenize(reviews, saved.model->encoder().tokenizer(), saved.max_length);
    const auto probabilities =
        sentiment_probabilities(*saved.model, examples, batch_size, saved.pad_batches, device);
    compute.check_forced_variants();
    for (size_t i = 0; i < reviews.size(); ++i) print(reviews[i].text, probabilities[i]);
  }

 private:
  void print(const std::string& text, double probability) const {
    const char* label = probability >= 0.5 ? "positive" : "negative";
    if (as_json) {
      const nlohmann::json line = {{"text", text}, {"label", label}, {"probability", probability}};
      std::printf("%s\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
      std::printf("%s  %.3f  %s\n", label, probability, text.c_str());
    }
  }
};

}  // namespace

void add_predict(CLI::App& program) {
  auto command = std::make_shared<PredictCommand>();
  CLI::App* c = program.add_subcommand("predict", "Say whether texts are positive or negative");
  c->add_option("RUN", command->run_folder, "Folder that 'tenon train' wrote")->required();
  command->texts.add_to(*c);
  c->add_flag("--jsonl", command->texts.jsonl, "Lines are JSON objects with \"text\"");
  c->add_flag("--json", command->as_json,
              "A JSON object a line: text, label, probability of the positive class");
  c->add_option("--batch-size", command->batch_size, "Texts in a batch")->capture_default_str();
  command->compute.add_to(*c);
  command->compute.add_dtype_to(*c);
  c->footer(R"(Examples:
  tenon predict run "This film is great" "This film is terrible"
  tenon predict run --file reviews.txt --json
  cat reviews.jsonl | tenon predict run --jsonl)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
