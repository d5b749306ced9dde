// tenon train: raw reviews and a HuggingFace encoder in, a trained sentiment model out.
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/base/launches.h"
#include "kernels/base/select.h"
#include "models/data/manifest.h"
#include "models/sentiment/run_folder.h"
#include "tools/commands.h"
#include "tools/profile.h"
#include "tools/progress.h"

namespace tenon {
namespace {

using nlohmann::json;

struct TrainCommand {
  SentimentSettings settings;
  ComputeOptions compute;
  std::string out, cache;
  bool resume = false;
  TrainingProfile profile;

  void run();

 private:
  struct Data {
    Examples train, valid, test;
    json manifest;
  };
  Data read_data(const Encoder& encoder, int max_length) const;
  TrainObserver observer(RunFolder& folder, Progress& bar) const;
  void finish(RunFolder& folder, SentimentModel& model, const Data& data, int64_t best_epoch, int max_length);
};

// Takes a new run's folder away again if the run fails before its first step has ended.
class NewFolder {
 public:
  explicit NewFolder(std::filesystem::path path) : path_(std::move(path)) {}
  ~NewFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

TrainCommand::Data TrainCommand::read_data(const Encoder& encoder, int max_length) const {
  const Section section("reading and tokenising");
  Dataset dataset = settings.test_data.empty()
                        ? read_dataset(settings.data, settings.columns)
                        : read_dataset(settings.data, settings.test_data, settings.columns);
  const auto sources = dataset.sources;
  const Split parts = split(std::move(dataset), settings.split);
  Data data;
  data.train = tokenize(parts.train, encoder.tokenizer(), max_length);
  data.valid = tokenize(parts.valid, encoder.tokenizer(), max_length);
  data.test = tokenize(parts.test, encoder.tokenizer(), max_length);
  data.manifest = manifest(sources, parts, settings.split);
  std::printf("data: %ld training, %ld validation, %ld test reviews; %ld training tokens\n",
              static_cast<long>(data.train.size()), static_cast<long>(data.valid.size()),
              static_cast<long>(data.test.size()), static_cast<long>(data.train.tokens()));
  return data;
}

TrainObserver TrainCommand::observer(RunFolder& folder, Progress& bar) const {
  return {.step =
              [&, bar = &bar](const StepRecord& r) {
                folder.append_metrics({{"step", r.step},
                                       {"loss", r.loss},
                                       {"lr", r.lr},
                                       {"tokens_per_second", r.tokens_per_second}});
                char note[64];
                std::snprintf(note, sizeof note, "loss %.4f", r.loss);
                bar->show(r.step, r.steps_per_epoch * settings.epochs, note);
              },
          .epoch =
              [&, bar = &bar](const EpochRecord& r) {
                bar->finish();
                folder.append_metrics({{"epoch", r.epoch},
                                       {"train_loss", r.train_loss},
                                       {"valid_loss", r.valid.loss},
                                       {"valid_accuracy", r.valid.accuracy},
                                       {"seconds", r.seconds}});
                std::printf("epoch %ld: train loss %.4f, valid loss %.4f, valid accuracy %.2f %%, %s%s\n",
                            static_cast<long>(r.epoch), r.train_loss, r.valid.loss, 100 * r.valid.accuracy,
                            duration(r.seconds).c_str(), r.best ? "  (best so far)" : "");
                if (settings.recipe == "tutorial")
                  std::printf("  accuracy as the mean over batches: %.2f %%\n",
                              100 * r.valid.batch_mean_accuracy);
                std::fflush(stdout);
                folder.write_variants();
              }};
}

void TrainCommand::finish(RunFolder& folder, SentimentModel& model, const Data& data, int64_t best_epoch,
                          int max_length) {
  {
    const Section section("saving the model");
    folder.save_model(model, settings, max_length);
    folder.write_variants();
  }
  const Section section("testing");
  Evaluation test;
  if (data.test.size() > 0) {
    Progress bar("testing", "reviews");
    try {
      test = evaluate_sentiment(model, data.test, settings.batch_size, settings.pad_batches,
                                parse_device(settings.device), nullptr,
                                [&](int64_t done, int64_t all) { bar.show(done, all); });
    } catch (const KernelFailure& failure) {
      fail(failure.what(), "; the trained model is saved in ", out, ", and 'tenon eval' tests it");
    }
    bar.finish();
    std::printf("test, with the state of epoch %ld: loss %.4f, accuracy %.2f %% of %ld reviews\n",
                static_cast<long>(best_epoch), test.loss, 100 * test.accuracy, static_cast<long>(test.count));
    if (settings.recipe == "tutorial")
      std::printf("  accuracy as the mean over batches: %.2f %%\n", 100 * test.batch_mean_accuracy);
    folder.append_metrics({{"test_loss", test.loss},
                           {"test_accuracy", test.accuracy},
                           {"best_epoch", best_epoch},
                           {"count", test.count}});
  }
  compute.check_forced_variants();
  std::printf("saved %s\nnext: tenon predict %s \"a film well worth seeing\"\n", out.c_str(), out.c_str());
}

void TrainCommand::run() {
  settings.device = compute.device;
  settings.dtype = compute.dtype;
  settings.split.seed = settings.seed;
  settings.cache_features = !cache.empty();
  settings.cache_file = cache == "memory" ? "" : cache;
  as_usage([&] {
    settings.apply_recipe();
    settings.validate();
    profile.check_usage();
  });
  compute.apply();
  settings.kernels = forced_variants();
  watch_for_interrupt();
  RunFolder folder = resume ? RunFolder::reopen(out, settings) : RunFolder::create(out, settings);
  NewFolder unfinished(resume ? "" : out);
  const Device device = parse_device(settings.device);
  if (resume) {
    note_lacking(out, folder.select_as_recorded(device));
    compute.force_variants();  // rather than the recorded ones
  } else {
    folder.write_tuned(device);
  }

  profile.start(parse_device(settings.device));
  auto encoder = load_encoder(settings.encoder);
  note_unexpected(settings.encoder, encoder->unexpected_tensors());
  const int max_length = settings.max_length > 0 ? settings.max_length : encoder->max_length();
  check(max_length <= encoder->max_length(), "--max-length ", max_length, " is over the ",
        encoder->max_length(), " positions of ", settings.encoder);
  const Data data = read_data(*encoder, max_length);
  if (resume)
    folder.check_data_manifest(data.manifest);
  else
    folder.write_data_manifest(data.manifest);

  SentimentModel model(std::move(encoder), settings.head);
  model.init_head(settings.seed);
  Progress cache_bar("encoding", "tokens");
  SentimentTask task(model, data.train, data.valid, settings.task_options(),
                     [&](int64_t done, int64_t all) { cache_bar.show(done, all); });
  cache_bar.finish();
  std::printf("model: %ld parameters, %ld of them trained\n", static_cast<long>(parameter_count(model)),
              static_cast<long>(parameter_count(model, true)));
  std::fflush(stdout);

  const auto optimizer = settings.make_optimizer(model);
  const CheckpointStore checkpoints = folder.checkpoints();
  Progress bar("training", "steps");
  TrainObserver watch = observer(folder, bar);
  watch.step = [&, show = watch.step](const StepRecord& record) {
    check_forced_variants_used();
    unfinished.keep();
    show(record);
  };
  Trainer trainer(task, *optimizer, settings.train_options(), checkpoints, watch);
  if (resume && !trainer.resume()) std::printf("no checkpoint yet: starting from the beginning\n");
  profile.expect_steps(model, trainer.step(), trainer.steps());
  folder.open_metrics(trainer.step(), trainer.finished_epochs());
  const bool finished = trainer.run(interrupted());
  unfinished.keep();
  bar.finish();
  if (!finished) {
    folder.write_variants();
    std::printf("stopped after step %ld and saved; continue with the same command and --resume\n",
                static_cast<long>(trainer.step()));
    profile.finish(folder.path());
    return;
  }
  finish(folder, model, data, trainer.best_epoch(), max_length);
  profile.finish(folder.path());
}

void add_data_options(CLI::App& c, SentimentSettings& s) {
  c.add_option("--encoder", s.encoder, "Folder of a HuggingFace BERT")->required()->group("Data");
  c.add_option("--data", s.data, "aclImdb folder, its .tar.gz, or a .csv, .tsv or .jsonl file")
      ->required()
      ->group("Data");
  c.add_option("--test-data", s.test_data, "A second source for the test part")->group("Data");
  c.add_option("--text-column", s.columns.text, "Column or key of the text")
      ->capture_default_str()
      ->group("Data");
  c.add_option("--label-column", s.columns.label, "Column or key of the label")
      ->capture_default_str()
      ->group("Data");
  c.add_option("--train-limit", s.split.train_limit, "Use N training reviews, balanced")->group("Data");
  c.add_option("--valid-limit", s.split.valid_limit, "Use N validation reviews")->group("Data");
  c.add_option("--test-limit", s.split.test_limit, "Use N test reviews")->group("Data");
  c.add_option("--valid-fraction", s.split.valid_fraction, "Share of training reviews kept for validation")
      ->capture_default_str()
      ->group("Data");
  c.add_option("--test-fraction", s.split.test_fraction,
               "Share for the test where the data have no test part")
      ->capture_default_str()
      ->group("Data");
  c.add_option("--max-length", s.max_length,
               "Cut reviews to N tokens, special ones included (default: the encoder's)")
      ->group("Data");
}

void add_training_options(CLI::App& c, SentimentSettings& s) {
  c.add_option("--recipe", s.recipe, "default, or tutorial: with the published code's quirks")
      ->capture_default_str();
  c.add_option("--epochs", s.epochs, "Epochs")->capture_default_str();
  c.add_option("--batch-size", s.batch_size, "Reviews in a batch")->capture_default_str();
  c.add_option("--batches", s.batches, "random, bucketed (by length) or packed (by --token-budget)")
      ->capture_default_str();
  c.add_option("--token-budget", s.token_budget, "Tokens in a packed batch");
  c.add_option("--accumulate", s.accumulate, "Cut each batch into N parts to save memory")
      ->capture_default_str();
  c.add_option("--lr", s.lr, "Learning rate")->capture_default_str();
  c.add_option("--optimizer", s.optimizer, "adam, adamw or sgd")->capture_default_str();
  c.add_option("--weight-decay", s.weight_decay, "Weight decay");
  c.add_option("--momentum", s.momentum, "Momentum of sgd");
  c.add_option("--clip-norm", s.clip_norm, "Clip gradients to this common norm");
  c.add_option("--schedule", s.schedule, "constant, linear or cosine decay of the learning rate")
      ->capture_default_str();
  c.add_option("--warmup-steps", s.warmup_steps, "Steps of linear warm-up");
  c.add_option("--seed", s.seed, "Seed of everything random")->capture_default_str();
  c.add_flag("--fine-tune", s.fine_tune, "Train the encoder, too");
  c.add_option("--hidden-size", s.head.hidden_size, "State of the GRU")->capture_default_str();
  c.add_option("--num-layers", s.head.num_layers, "Layers of the GRU")->capture_default_str();
  c.add_option("--dropout", s.head.dropout, "Dropout of the head")->capture_default_str();
  c.add_option("--save-every", s.save_every, "Also save a checkpoint every N steps");
  c.add_option("--cache-dtype", s.cache_dtype, "fp32 or bf16, of cached features")->capture_default_str();
}

}  // namespace

void add_train(CLI::App& program) {
  auto command = std::make_shared<TrainCommand>();
  CLI::App* c = program.add_subcommand("train", "Train the sentiment model");
  c->add_option("--out", command->out, "Folder of the run, which is made")->required();
  add_data_options(*c, command->settings);
  add_training_options(*c, command->settings);
  c->add_option(
       "--cache-features", command->cache,
       "Compute the frozen encoder's features once and keep them in memory, or in the file that is named")
      ->expected(0, 1)
      ->default_str("memory");
  c->add_flag("--resume", command->resume, "Continue the run in --out");
  command->compute.add_to(*c);
  command->compute.add_dtype_to(*c);
  command->profile.add_to(*c);
  c->footer(R"(Examples:
  tenon train --encoder bert-base-uncased --data aclImdb_v1.tar.gz --out run --cache-features features.bin
  tenon train --encoder minilm --data reviews.csv --text-column body --label-column stars --out run --epochs 3
  tenon train --encoder minilm --data aclImdb --out run --train-limit 2000 --valid-limit 500 --test-limit 2000
  tenon train --encoder minilm --data aclImdb --out run --kernel matmul=eigen --profile
Ctrl-C saves; the same command with --resume continues, and gives the same bits as a run without a break.)");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
