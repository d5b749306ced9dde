// What a profile records of a training: a tree of spans in which nothing counts twice, the same layers on the
// way back as on the way there, and a training that is not changed by it.
#include "kernels/base/profile.h"

#include <map>
#include <set>
#include <thread>

#include "engine/nn/in_layer.h"
#include "kernels/base/event.h"
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/cpu/parallel.h"
#include "kernels/matmul/matmul.h"
#include "tests/training.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

using Kind = Span::Kind;

struct Training {
  std::vector<double> losses;
  std::vector<std::vector<float>> parameters;
  Profile profile;
};

// An epoch of the tiny BERT and GRU of the training goldens, with the profile of the steps first to last.
Training train(Device device, int64_t steps, bool profiled, int64_t first = 1, int64_t last = 100) {
  const GoldenRun golden("finetune");
  const auto examples = static_cast<std::ptrdiff_t>(steps * GoldenRun::batch_size);
  const Examples few{{golden.examples.ids.begin(), golden.examples.ids.begin() + examples},
                     {golden.examples.labels.begin(), golden.examples.labels.begin() + examples}};
  const TemporaryFolder folder;
  std::optional<Profiler> profiler;
  if (profiled) profiler.emplace(device);
  SentimentModel model = golden.model(DType::f32);
  const Examples none;
  SentimentTask task(model, few, none,
                     {.batches = {.order = BatchOrder::sequential, .batch_size = GoldenRun::batch_size},
                      .fine_tune = true,
                      .device = device});
  const auto optimizer = make_adam(named_parameters(model));
  const CheckpointStore checkpoints(folder.path());
  Training result;
  Trainer trainer(
      task, *optimizer, {.epochs = 1, .clip_norm = 0.5}, checkpoints,
      {.step = [&](const StepRecord& record) { result.losses.push_back(record.loss); }, .epoch = nullptr});
  if (profiler) {
    name_layers(*profiler, model);
    profiler->record_steps(first, last);
  }
  const std::atomic<bool> never = false;
  trainer.run(never);
  if (profiler) result.profile = profiler->finish();
  for (const auto& [name, parameter] : named_parameters(model))
    result.parameters.push_back(parameter->to(Device::cpu).to_vector<float>());
  return result;
}

const Span& parent_of(const Profile& profile, const Span& span) {
  return profile.spans[static_cast<size_t>(span.parent)];
}

std::string section_of(const Profile& profile, const Span& span) {
  const Span* around = &span;
  while (around->kind == Kind::operation) around = &parent_of(profile, *around);
  return std::string(around->name);
}

struct Work {
  int64_t calls = 0;
  double flops = 0;
  bool operator==(const Work&) const = default;
};

// "section operation layer" -> what was done there, of operations that are not part of another.
std::map<std::string, Work> work(const Profile& profile) {
  std::map<std::string, Work> all;
  for (const Span& span : profile.spans) {
    if (span.kind != Kind::operation || parent_of(profile, span).kind == Kind::operation) continue;
    Work& sum = all[str(section_of(profile, span), " ", span.name, " ",
                        profile.layers[static_cast<size_t>(span.layer)])];
    ++sum.calls;
    sum.flops += span.cost.flops;
  }
  return all;
}

// Time in a queue that is not the host's: it stands still but for a tick with each mark.
struct Ticks {
  static inline int now = 1000;
  int recorded = 0;
};
const EventBackend ticking{
    .make = []() -> void* { return new Ticks; },
    .free = [](void* event) { delete static_cast<Ticks*>(event); },
    .record = [](void* event, void*) { static_cast<Ticks*>(event)->recorded = Ticks::now++; },
    .wait = [](void*) {},
    .seconds = [](void* earlier, void* later) -> double {
      return static_cast<Ticks*>(later)->recorded - static_cast<Ticks*>(earlier)->recorded;
    }};

}  // namespace

TEST_CASE("spans lie within the span around them, one after another") {
  const Profile profile = train(Device::cpu, 3, true).profile;
  REQUIRE(profile.spans.size() > 100);
  std::map<int, double> last_end;  // of the children so far
  for (const Span& span : profile.spans) {
    CHECK(span.end >= span.begin);
    CHECK((span.parent == -1) == (span.kind == Kind::step));
    CHECK(span.begin >= last_end[span.parent]);
    last_end[span.parent] = span.end;
    if (span.parent >= 0) {
      CHECK(span.begin >= parent_of(profile, span).begin);
      CHECK(span.end <= parent_of(profile, span).end);
      CHECK(span.step == parent_of(profile, span).step);
    }
  }
}

TEST_CASE("only the chosen steps are recorded, with all their sections") {
  const Profile profile = train(Device::cpu, 4, true, 2, 3).profile;
  std::set<int64_t> steps;
  std::set<std::string> sections;
  for (const Span& span : profile.spans) {
    steps.insert(span.step);
    if (span.kind == Kind::section) sections.insert(std::string(span.name));
  }
  CHECK(steps == std::set<int64_t>{2, 3});
  for (const char* section : {"data", "forward", "backward", "optimizer", "loss to the host", "report"}) {
    INFO(section);
    CHECK(sections.contains(section));
  }
  for (const Stage& stage : profile.stages)
    if (stage.name == "training steps") CHECK(stage.calls == 4);
}

TEST_CASE("the backward is charged to the layers of the forward") {
  const auto all = work(train(Device::cpu, 1, true).profile);
  const auto calls = [&](const std::string& place) { return all.contains(place) ? all.at(place).calls : 0; };
  for (const char* layer : {"rnn.l0", "rnn.l1"}) {
    CHECK(calls(str("forward gru_sequence ", layer)) == 1);
    CHECK(calls(str("backward gru_sequence_backward ", layer)) == 1);
  }
  const std::string bert = "bert.encoder.layer.0";
  CHECK(calls("forward attention " + bert) == 1);
  CHECK(calls("backward attention_backward " + bert) == 1);
  for (const char* linear : {".attention.self.query", ".intermediate.dense", ".output.dense"}) {
    CHECK(calls("forward matmul " + bert + linear) == 1);
    CHECK(calls("backward matmul " + bert + linear) == 2);  // of the input and of the weight
  }
  CHECK(calls("backward embedding_backward bert.embeddings") == 1);
  CHECK(calls("optimizer adam ") == 1);
  CHECK(calls("optimizer grad_norm ") == 1);
}

TEST_CASE("a profile changes no bit of a training, on cpu and on simt") {
  for (const auto& [device, steps] : {std::pair(Device::cpu, 3), std::pair(Device::simt, 1)}) {
    INFO(to_string(device));
    const Training without = train(device, steps, false), with = train(device, steps, true);
    CHECK(without.losses.size() == static_cast<size_t>(steps));
    CHECK(with.losses == without.losses);
    CHECK(with.parameters == without.parameters);
  }
}

TEST_CASE("on simt the same layers do the same work, attention over the true lengths included") {
  const auto cpu = work(train(Device::cpu, 1, true).profile),
             simt = work(train(Device::simt, 1, true).profile);
  size_t compared = 0;
  for (const auto& [place, done] : cpu) {
    if (place.find("matmul") == place.npos && place.find("attention") == place.npos &&
        place.find("gru") == place.npos && place.find("layer_norm") == place.npos)
      continue;
    INFO(place);
    REQUIRE(simt.contains(place));
    CHECK(simt.at(place) == done);
    CHECK(done.flops > 0);
    ++compared;
  }
  CHECK(compared > 20);
}

TEST_CASE("the marks of a device's queue are read after the step, on the queue's own clock") {
  MemoryBackend with_queue = memory_backend(Device::simt);
  const MemoryBackend without = with_queue;
  with_queue.events = &ticking;
  const RegisterMemory now_queued(Device::simt, with_queue);
  const Profile profile = train(Device::simt, 2, true).profile;
  const RegisterMemory as_before(Device::simt, without);
  std::vector<int> marks_within(profile.spans.size());  // each mark is one tick
  for (size_t i = profile.spans.size(); i-- > 0;)
    if (profile.spans[i].parent >= 0)
      marks_within[static_cast<size_t>(profile.spans[i].parent)] += marks_within[i] + 2;
  for (size_t i = 0; i < profile.spans.size(); ++i) {
    const Span& span = profile.spans[i];
    CHECK(span.end - span.begin == Approx(marks_within[i] + 1));
    CHECK(span.host_end - span.host_begin < 60);
    if (i > 0) CHECK(span.begin > profile.spans[i - 1].begin);
  }
}

TEST_CASE("what other threads do is not recorded, and there is one profile at a time") {
  Profiler profiler(Device::cpu);
  profiler.record_steps(1, 1);
  {
    const ProfiledStep step(1);
    std::thread([] {
      (void)matmul(Tensor::zeros({2, 2}, DType::f32), Tensor::zeros({2, 2}, DType::f32));
    }).join();
    CHECK_THROWS_WITH(Profiler(Device::cpu), Contains("already"));
  }
  CHECK(profiler.finish().spans.size() == 1);
}
