// The generated reviews: their text decides the label, and a bag of their words does not find it.
#include "models/data/corpus.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "models/data/shuffle.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

using Features = std::vector<size_t>;  // hashed n-grams, each once

constexpr size_t buckets = 1 << 18;

// All runs of 1 ... longest words.
Features features(const std::string& text, size_t longest) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  std::set<size_t> found;
  for (size_t first = 0; first < words.size(); ++first) {
    std::string run;
    for (size_t i = first; i < std::min(words.size(), first + longest); ++i)
      found.insert(std::hash<std::string>()(run += words[i] + ' ') % buckets);
  }
  return {found.begin(), found.end()};
}

// Logistic regression by stochastic gradient descent.
class Classifier {
 public:
  double probability(const Features& review) const {
    double sum = 0;
    for (const size_t feature : review) sum += weights_[feature];
    return 1 / (1 + std::exp(-sum));
  }
  void learn(const Features& review, int label, double rate) {
    const double step = rate * (label - probability(review));
    for (const size_t feature : review) weights_[feature] += step;
  }

 private:
  std::vector<double> weights_ = std::vector<double>(buckets);
};

// Trained on the first three quarters, tested on the rest.
double accuracy(const std::vector<Review>& reviews, size_t longest_run) {
  std::vector<Features> all;
  for (const Review& review : reviews) all.push_back(features(review.text, longest_run));
  const size_t trained = reviews.size() * 3 / 4;
  Classifier classifier;
  for (int epoch = 0; epoch < 20; ++epoch)
    for (size_t i = 0; i < trained; ++i) classifier.learn(all[i], reviews[i].label, 0.1 / (1 + epoch));
  size_t correct = 0;
  for (size_t i = trained; i < reviews.size(); ++i)
    correct += (classifier.probability(all[i]) > 0.5) == (reviews[i].label == 1);
  return static_cast<double>(correct) / static_cast<double>(reviews.size() - trained);
}

bool is_remark(const std::string& sentence) {
  constexpr const char* marks[] = {"We saw it on", "It runs for", "The story follows", "I watched it with",
                                   "It was shot",  "It tells of", "had bought the",    "There were about",
                                   "Most of it",   "It was shown"};
  return std::ranges::any_of(marks,
                             [&](const char* mark) { return sentence.find(mark) != std::string::npos; });
}

}  // namespace

TEST_CASE("generated reviews are all different, balanced, and neither short nor long") {
  const auto reviews = generate_reviews(6000, 1);
  std::set<std::string> texts;
  for (const Review& review : reviews) {
    texts.insert(review.text);
    const auto words = 1 + std::ranges::count(review.text, ' ');
    CHECK(words >= 10);
    CHECK(words <= 120);
    CHECK(review.text.find_first_of("{}") == std::string::npos);
  }
  CHECK(texts.size() == 6000);
  CHECK(std::ranges::count(reviews, 1, &Review::label) == 3000);
}

TEST_CASE("the seed decides the reviews, the count only how many") {
  const auto few = generate_reviews(10, 1), more = generate_reviews(20, 1), other = generate_reviews(10, 2);
  for (size_t i = 0; i < 10; ++i) {
    CHECK(few[i].text == more[i].text);
    CHECK(few[i].text != other[i].text);
  }
  CHECK(sha256_of_reviews(generate_reviews(1000, 1)) ==
        "19b90140331595dbda52b11e64647dcffe0a3ab728c58d4d0b38b35ca67d88e6");
}

TEST_CASE("a bag of words stays under 80 %, while runs of words find the label") {
  const auto reviews = generate_reviews(8000, 1);
  const double words = accuracy(reviews, 1), runs = accuracy(reviews, 4);
  UNSCOPED_INFO("words " << words << ", runs " << runs);
  CHECK(words > 0.5);
  CHECK(words < 0.8);
  CHECK(runs > 0.95);
}

TEST_CASE("a sentence that occurs with both labels is a remark that judges nothing") {
  std::map<std::string, int> times[2];
  for (const Review& review : generate_reviews(20000, 1)) {
    std::istringstream stream(review.text);
    for (std::string sentence; std::getline(stream >> std::ws, sentence, '.');)
      ++times[review.label][sentence];
  }
  int recurring = 0;
  for (const auto& [sentence, count] : times[1]) {
    recurring += count > 1 && !is_remark(sentence);
    if (times[0].contains(sentence)) {
      INFO(sentence);
      CHECK(is_remark(sentence));
    }
  }
  CHECK(recurring > 1000);  // enough opinions to meet the other label if they could
}

TEST_CASE("what is written as JSON lines is read again") {
  test::TemporaryFolder folder;
  const auto reviews = generate_reviews(50, 3);
  write_json_lines((folder / "corpus.jsonl").string(), reviews);
  const Dataset data = read_dataset((folder / "corpus.jsonl").string());
  CHECK(sha256_of_reviews(data.train) == sha256_of_reviews(reviews));
}
