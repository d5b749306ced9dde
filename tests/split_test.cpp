// The split, its limits, and the manifest: counts, disjoint parts, and the same choice on every machine.
#include "models/data/split.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/io/sha256.h"
#include "kernels/base/error.h"
#include "models/data/manifest.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

// Negative reviews n000, n001, ..., then positive ones p000, p001, ...
std::vector<Review> reviews(int negative, int positive) {
  std::vector<Review> list;
  for (int label = 0; label < 2; ++label)
    for (int i = 0; i < (label ? positive : negative); ++i) {
      const std::string digits = std::to_string(1000 + i).substr(1);
      list.push_back({"text " + digits, label, (label ? "p" : "n") + digits});
    }
  return list;
}

std::string ids(const std::vector<Review>& list) {
  std::string text;
  for (const Review& review : list) text += (text.empty() ? "" : " ") + review.id;
  return text;
}

int64_t positives(const std::vector<Review>& list) { return std::ranges::count(list, 1, &Review::label); }

std::string complaint(const Dataset& data, const SplitOptions& options) {
  try {
    split(data, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

const Dataset official{reviews(50, 50), reviews(30, 30), {}};

}  // namespace

TEST_CASE(
    "an official test part stays whole; 30 % of each class validates; no review is lost or used twice") {
  const Split parts = split(official, {.seed = 1});
  CHECK(parts.train.size() == 70);
  CHECK(parts.valid.size() == 30);
  CHECK(positives(parts.train) == 35);
  CHECK(positives(parts.valid) == 15);
  CHECK(ids(parts.test) == ids(official.test));
  std::set<std::string> seen;
  for (const auto* part : {&parts.train, &parts.valid})
    for (const Review& review : *part) {
      CHECK(seen.insert(review.id).second);
      CHECK(review.text == "text " + review.id.substr(1));
    }
  CHECK(seen.size() == 100);
  CHECK(std::ranges::is_sorted(parts.train, {}, &Review::id));
}

TEST_CASE("without a test part a fifth of each class becomes one, classes of unequal size included") {
  const Split parts = split({reviews(100, 50), {}, {}}, {.seed = 3});
  CHECK(parts.test.size() == 30);
  CHECK(positives(parts.test) == 10);
  CHECK(parts.valid.size() == 36);
  CHECK(positives(parts.valid) == 12);
  CHECK(parts.train.size() == 84);
}

TEST_CASE(
    "the seed decides: the same gives the same, another another, and these are the ones of every machine") {
  const Dataset data{reviews(6, 6), reviews(1, 1), {}};
  const SplitOptions options{.seed = 7, .valid_fraction = 0.5};
  CHECK(ids(split(data, options).valid) == ids(split(data, options).valid));
  CHECK(ids(split(data, options).valid) == "n000 n003 n004 p001 p003 p004");
  CHECK(ids(split(data, {.seed = 8, .valid_fraction = 0.5}).valid) == "n000 n002 n004 p003 p004 p005");
}

TEST_CASE("a limit keeps every k-th of each class's sorted list") {
  const Split parts = split(official, {.seed = 1, .test_limit = 8});
  CHECK(ids(parts.test) == "n000 n007 n014 n021 p000 p007 p014 p021");  // k = floor(30 / 4)
  CHECK(ids(split(official, {.test_limit = 3}).test) == "n000 p000 p015");
  CHECK(ids(split(official, {.test_limit = 60}).test) == ids(official.test));
}

TEST_CASE("limits choose among the reviews of their own part, and move none") {
  const Split whole = split(official, {.seed = 5});
  const Split limited = split(official, {.seed = 5, .train_limit = 10, .valid_limit = 6});
  CHECK(limited.train.size() == 10);
  CHECK(positives(limited.train) == 5);
  CHECK(limited.valid.size() == 6);
  CHECK(positives(limited.valid) == 3);
  for (size_t i = 0; i < 5; ++i) CHECK(limited.train[i].id == whole.train[7 * i].id);
  for (size_t i = 0; i < 3; ++i) CHECK(limited.valid[3 + i].id == whole.valid[15 + 5 * i].id);
}

TEST_CASE("what cannot be split is refused") {
  using Catch::Contains;
  CHECK_THAT(complaint(official, {.train_limit = 72}),
             Contains("--train-limit 72 asks for 36 negative reviews, but the train part has 35; lower it"));
  CHECK_THAT(complaint(official, {.valid_limit = 40}), Contains("--valid-limit 40 asks for 20 negative"));
  CHECK_THAT(complaint({reviews(9, 5), reviews(9, 5), {}}, {.test_limit = 12}),
             Contains("--test-limit 12 asks for 6 positive reviews, but the test part has 5"));
  CHECK_THAT(complaint(official, {.train_limit = -1}), Contains("--train-limit is -1"));
  CHECK_THAT(complaint({reviews(0, 9), {}, {}}, {}),
             Contains("needs both classes, but there is no negative review"));
  CHECK_THAT(complaint({reviews(1, 1), {}, {}}, {}), Contains("too few negative reviews"));
  CHECK_THAT(complaint({{}, reviews(1, 1), {}}, {}), Contains("holds no training reviews"));
  CHECK_THAT(complaint(official, {.valid_fraction = 1}), Contains("the validation fraction is 1"));
  CHECK_THAT(complaint(official, {.valid_fraction = std::nan("")}), Contains("it must lie between 0 and 1"));
  CHECK_THAT(complaint(official, {.test_fraction = -0.5}), Contains("the test fraction is -0.5"));
}

TEST_CASE("the manifest records sources without their folders, counts, hashes, seed and limits") {
  const SplitOptions options{.seed = 9, .train_limit = 10};
  const std::vector<Source> sources{{"/some/where/imdb.tar.gz", SourceKind::archive, 123, "abc"},
                                    {"folder/aclImdb/", SourceKind::folder, 45, "def"}};
  const Split parts = split(official, options);
  const auto json = manifest(sources, parts, options);
  CHECK(json["sources"][0].dump() == R"({"bytes":123,"kind":"archive","name":"imdb.tar.gz","sha256":"abc"})");
  CHECK(json["sources"][1]["name"] == "aclImdb");
  CHECK(json["seed"] == 9);
  CHECK(json["limits"]["train"] == 10);
  CHECK(json["limits"]["test"] == 0);
  CHECK(json["parts"]["train"]["count"] == 10);
  CHECK(json["parts"]["valid"]["negative"] == 15);
  CHECK(json["parts"]["test"]["positive"] == 30);
  std::string listed;
  for (const Review& review : parts.train)
    listed += review.id + "\t" + std::to_string(review.label) + "\t8\n" + review.text;
  CHECK(json["parts"]["train"]["sha256"] == sha256_of(listed));

  Split changed = parts;
  changed.train[0].text[0] = 'T';
  CHECK(manifest(sources, changed, options)["parts"]["train"]["sha256"] != json["parts"]["train"]["sha256"]);
}

TEST_CASE("IMDB splits into 17,500, 7,500 and 25,000 reviews, balanced") {
  const auto path = test::shared_data() / "aclImdb_labeled_50k.tar.gz";
  if (!std::filesystem::exists(path)) SKIPPED("no aclImdb_labeled_50k.tar.gz in the shared data");
  Dataset data = read_dataset(path.string());
  const Split limited = split(data, {.train_limit = 2000, .valid_limit = 500, .test_limit = 2000});
  CHECK(limited.train.size() + limited.valid.size() + limited.test.size() == 4500);
  CHECK(positives(limited.train) == 1000);
  const Split parts = split(std::move(data), {});
  CHECK(parts.train.size() == 17500);
  CHECK(positives(parts.train) == 8750);
  CHECK(parts.valid.size() == 7500);
  CHECK(positives(parts.valid) == 3750);
  CHECK(parts.test.size() == 25000);
  CHECK(positives(parts.test) == 12500);
}
