// Dropout masks against tests/data/philox.safetensors: the published known answers, and what the numpy side
// draws.
#include "kernels/base/philox.h"

#include <vector>

#include "engine/io/safetensors.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

constexpr double p = 0.25;
constexpr const char* paths[] = {"rnn.dropout_l0", "dropout", "bert.encoder.layer.0.attention.self.dropout"};

template <class T>
std::vector<T> values(const TensorFile& file, const std::string& name) {
  const TensorEntry* entry = file.find(name);
  REQUIRE(entry != nullptr);
  const T* data = entry->view.as<const T>();
  return {data, data + entry->view.size()};
}

TensorFile golden() { return read_safetensors((test::data_folder() / "philox.safetensors").string()); }

Dropout dropout_of(const TensorFile& file, int operation) {
  return {p,
          {static_cast<uint64_t>(values<int64_t>(file, "seed")[0]),
           static_cast<uint32_t>(values<int64_t>(file, "step")[0]), operation_key(paths[operation])}};
}

bool kept(const Dropout& dropout, uint64_t element) { return dropout.key(element) >= dropout.threshold(); }

}  // namespace

TEST_CASE("Philox gives the published known answers") {
  const TensorFile file = golden();
  const auto counter = values<int64_t>(file, "counter"), key = values<int64_t>(file, "key");
  const auto result = values<int64_t>(file, "result");
  REQUIRE(result.size() == 12);
  for (size_t i = 0; i < 3; ++i) {
    std::array<uint32_t, 4> words;
    for (size_t lane = 0; lane < 4; ++lane) words[lane] = static_cast<uint32_t>(counter[4 * i + lane]);
    words = philox(words, static_cast<uint32_t>(key[2 * i]), static_cast<uint32_t>(key[2 * i + 1]));
    for (size_t lane = 0; lane < 4; ++lane) CHECK(words[lane] == result[4 * i + lane]);
  }
}

TEST_CASE("A module's path and an element's key give the random number that the numpy side draws") {
  const TensorFile file = golden();
  const auto hashes = values<int64_t>(file, "operation_hash");
  for (size_t i = 0; i < 3; ++i) CHECK(operation_key(paths[i]) == hashes[i]);
  const auto elements = values<int64_t>(file, "element"), bits = values<int64_t>(file, "bits");
  const RandomKey key = dropout_of(file, 0).key;
  for (size_t i = 0; i < elements.size(); ++i) CHECK(key(static_cast<uint64_t>(elements[i])) == bits[i]);
}

TEST_CASE("Rows, vectors and attention probabilities drop the same elements as on the numpy side") {
  const TensorFile file = golden();
  const auto rows = values<uint8_t>(file, "rows.kept"), vector = values<uint8_t>(file, "vector.kept");
  const auto attention = values<uint8_t>(file, "attention.kept");
  const Dropout row_dropout = dropout_of(file, 0), vector_dropout = dropout_of(file, 1);
  const Dropout attention_dropout = dropout_of(file, 2);
  size_t row = 0, one = 0, pair = 0, differing = 0;
  for (uint64_t sequence = 0; sequence < 3; ++sequence) {
    for (uint64_t position = 0; position < 5; ++position)
      for (uint64_t column = 0; column < 33; ++column)
        differing += kept(row_dropout, row_key(sequence, position) + column) != rows[row++];
    for (uint64_t column = 0; column < 33; ++column)
      differing += kept(vector_dropout, row_key(sequence, 0) + column) != vector[one++];
    for (uint64_t head = 0; head < 2; ++head)
      for (uint64_t query = 0; query < 5; ++query)
        for (uint64_t column = 0; column < 5; ++column)
          differing +=
              kept(attention_dropout, attention_key(sequence, head, query) + column) != attention[pair++];
  }
  CHECK(row == rows.size());
  CHECK(pair == attention.size());
  CHECK(differing == 0);
}

TEST_CASE("A dropout probability is a double: its threshold and scale are those of PyTorch's side") {
  const Dropout dropout{0.1, {}};
  CHECK(dropout.threshold() == 429496729u);
  CHECK(dropout.scale() == 1.0 / 0.9);
}
