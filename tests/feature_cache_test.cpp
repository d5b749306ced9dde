// The cache of a frozen encoder's features: the same numbers, in memory and in a file that is used again for
// the same model and reviews only.
#include "models/sentiment/feature_cache.h"

#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "kernels/base/tuned.h"
#include "tests/models.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

const Examples examples = random_examples(ragged_lengths(20, 60));
const std::vector<int64_t> chosen = {7, 0, 19, 7, 3};

struct BatchInvariant {
  BatchInvariant() { set_batch_invariant(true); }
  ~BatchInvariant() { set_batch_invariant(false); }
};

Tensor uncached(Encoder& encoder) {
  const Inference inference;
  std::vector<std::vector<int32_t>> ids;
  for (int64_t i : chosen) ids.push_back(examples.ids[static_cast<size_t>(i)]);
  return encoder(PackedBatch::of_ids(ids));
}

}  // namespace

TEST_CASE("cached features in fp32 have the bits of uncached ones, in memory and in a file") {
  const EncoderFolder folder;
  const TemporaryFolder out;
  const BatchInvariant mode;
  const auto encoder = folder.load();
  const Tensor expected = uncached(*encoder);
  for (const std::filesystem::path& file : {std::filesystem::path(), out / "features"})
    for (const int64_t tokens_per_batch : {1, 100, 4096}) {
      std::filesystem::remove(out / "features");
      const FeatureCache cache(*encoder, examples, {.file = file, .tokens_per_batch = tokens_per_batch});
      CHECK_FALSE(cache.reused());
      CHECK(memory_stats(Device::cpu).cached == 0);  // what the encoder needed has been given back
      CHECK(same_bits(cache.gather(chosen), expected));
    }
}

TEST_CASE("cached features in bf16 are the fp32 ones, rounded") {
  const EncoderFolder folder;
  const BatchInvariant mode;
  const auto encoder = folder.load();
  const FeatureCache cache(*encoder, examples, {.dtype = DType::bf16});
  CHECK(same_bits(cache.gather(chosen), cast(cast(uncached(*encoder), DType::bf16), DType::f32)));
}

TEST_CASE("a file is used again for the same model, reviews and type, and made anew for others") {
  const EncoderFolder folder, other_folder(6);
  const TemporaryFolder out;
  const auto encoder = folder.load(), other = other_folder.load();
  const std::filesystem::path file = out / "features";
  const auto reused = [&](Encoder& with, const Examples& of, DType dtype) {
    const FeatureCache cache(with, of, {.dtype = dtype, .file = file});
    const FeatureCache fresh(with, of, {.dtype = dtype});
    CHECK(same_bits(cache.gather(chosen), fresh.gather(chosen)));
    return cache.reused();
  };
  Examples changed = examples;
  ++changed.ids[7][0];
  CHECK_FALSE(reused(*encoder, examples, DType::f32));
  CHECK(reused(*encoder, examples, DType::f32));
  CHECK(reused(*folder.load(), examples, DType::f32));
  CHECK_FALSE(reused(*other, examples, DType::f32));
  CHECK_FALSE(reused(*encoder, changed, DType::f32));
  CHECK_FALSE(reused(*encoder, examples, DType::bf16));
  CHECK(reused(*encoder, examples, DType::bf16));
  use_tuned({{"gelu", Device::cpu, DType::f32, "1x1", "plain"}});
  CHECK_FALSE(reused(*encoder, examples, DType::bf16));
  use_tuned({});
}

TEST_CASE("the key tells reviews apart that have the same tokens in a row") {
  const EncoderFolder folder;
  const auto encoder = folder.load();
  const Examples a{{{2, 7, 3}, {8}}, {0, 1}}, b{{{2, 7}, {3, 8}}, {0, 1}};
  CHECK(FeatureCache::key(*encoder, a, DType::f32) != FeatureCache::key(*encoder, b, DType::f32));
}

TEST_CASE("the key tells encoders apart that differ in their configuration only") {
  const EncoderFolder folder;
  const uint64_t before = FeatureCache::key(*folder.load(), examples, DType::f32);
  CHECK(FeatureCache::key(*folder.load(), examples, DType::f32) == before);
  nlohmann::json config = read_json(folder.path() / "config.json");
  config["hidden_act"] = "relu";
  write_json(folder.path() / "config.json", config);
  CHECK(FeatureCache::key(*folder.load(), examples, DType::f32) != before);
}

TEST_CASE("features are not cached while dropout is on, for fine-tuning, or where no file can be") {
  const EncoderFolder folder;
  const auto encoder = folder.load();
  CHECK_THAT(message_of([&] { FeatureCache(*encoder, examples, {.file = "/no/such/folder/features"}); }),
             Contains("/no/such/folder/features"));
  encoder->set_training(true);
  CHECK_THAT(message_of([&] { FeatureCache(*encoder, examples, {}); }), Contains("dropout is on"));
  SentimentModel model = folder.model();
  CHECK_THAT(message_of([&] {
               SentimentTask(model, examples, examples, {.fine_tune = true, .cache_features = true});
             }),
             Contains("--fine-tune"));
}
