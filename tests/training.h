// The training runs of tests/data/training: a tiny BERT and GRU, and 50 batches of 8 reviews.
#pragma once
#include "engine/io/load.h"
#include "tests/models.h"

namespace tenon::test {

struct GoldenRun {
  static constexpr int64_t steps = 50, batch_size = 8;

  explicit GoldenRun(const std::string& name) : file(golden_file("training/" + name)) {
    for (int64_t k = 0; k < steps; ++k) {
      const std::string batch = str("batch.", k, ".");
      const auto ids = golden_ids(file, batch + "input_ids"), ends = golden_ids(file, batch + "cu_seqlens");
      for (size_t i = 0; i + 1 < ends.size(); ++i)
        examples.ids.emplace_back(ids.begin() + ends[i], ids.begin() + ends[i + 1]);
      const auto labels = golden_tensor(file, batch + "labels", DType::f32).to_vector<float>();
      examples.labels.insert(examples.labels.end(), labels.begin(), labels.end());
    }
  }

  SentimentModel model(DType dtype) const {
    SentimentModel made(make_encoder(data_folder() / "training", file), {.hidden_size = 16});
    load_parameters(named_parameters(made), file);
    convert_to(made, dtype);
    return made;
  }
  uint64_t seed() const { return static_cast<uint64_t>(*golden(file, "seed").as<int64_t>()); }

  TensorFile file;
  Examples examples;
};

}  // namespace tenon::test
