// Sentences are patterns with slots. In an opinion, lower-case slots agree with the review's label and
// upper-case ones contradict it: a adjective, n noun phrase, v what it did to the viewer. Slots of either
// case: s subject. In a remark: p person, c place, d day, j job, k number.
#include "models/data/corpus.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <unordered_set>

#include "engine/io/file.h"
#include "models/data/shuffle.h"

namespace tenon {
namespace {

using Words = std::span<const std::string_view>;

// Index 0 is negative, 1 positive; lists of one kind are equally long so that no word is rarer than its
// opposite.
constexpr std::string_view adjectives[2][24] = {
    {"dull",   "lazy",      "clumsy",  "tedious",  "predictable", "shallow", "flat",        "hollow",
     "tired",  "messy",     "wooden",  "lifeless", "boring",      "bland",   "forgettable", "silly",
     "sloppy", "pointless", "clichéd", "grating",  "muddled",     "weak",    "cheap",       "terrible"},
    {"brilliant", "moving",   "gripping",  "clever",  "charming",  "funny",  "fresh",     "warm",
     "subtle",    "graceful", "inspired",  "elegant", "thrilling", "rich",   "memorable", "witty",
     "honest",    "touching", "inventive", "superb",  "sharp",     "strong", "lovely",    "wonderful"}};
constexpr std::string_view nouns[2][10] = {
    {"a waste of an evening", "a mess", "a chore", "a letdown", "a disaster", "a bore", "a slog", "a failure",
     "an insult to its audience", "a missed chance"},
    {"a triumph", "a delight", "a joy to watch", "a gem", "a small masterpiece", "a treat", "a pleasure",
     "a success", "a gift to its audience", "a lasting surprise"}};
constexpr std::string_view verbs[2][8] = {{"bored me", "annoyed me", "put me to sleep", "left me cold",
                                           "disappointed me", "wore me out", "irritated me", "lost me"},
                                          {"moved me", "delighted me", "made me laugh", "stayed with me",
                                           "impressed me", "won me over", "thrilled me", "held me"}};
constexpr std::string_view subjects[] = {
    "the film",    "the script",      "the acting",      "the direction",  "the dialogue", "the score",
    "the plot",    "the camera work", "the story",       "the lead",       "the cast",     "the editing",
    "the humour",  "the pacing",      "the first act",   "the second act", "the ending",   "the romance",
    "the villain", "the set design",  "the whole thing", "every scene",    "the picture",  "the production"};
constexpr std::string_view people[] = {"my sister",    "my father",  "a friend", "two colleagues",
                                       "my neighbour", "my wife",    "my son",   "an old friend",
                                       "my class",     "nobody else"};
constexpr std::string_view places[] = {"Lisbon",   "Chicago", "Glasgow", "Seoul",  "Naples",
                                       "Montreal", "Lagos",   "Oslo",    "Bombay", "Prague",
                                       "Dublin",   "Havana",  "Kyoto",   "Tunis"};
constexpr std::string_view days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                     "Friday", "Saturday", "Sunday"};
constexpr std::string_view jobs[] = {
    "a nurse",   "a retired detective", "a young pianist", "a lighthouse keeper",
    "a teacher", "a smuggler",          "a widow",         "two brothers",
    "a soldier", "a taxi driver",       "a chess player",  "a runaway"};

// The words say what is meant.
constexpr std::string_view direct[] = {
    "{s} is {a}.",
    "{s} is {a} and {a}.",
    "In the end it is {n}.",
    "{s} {v}, plain and simple.",
    "I found {s} {a}, as I had been told I would.",
    "What I remember is how {a} {s} is.",
    "It is just as {a} as everyone had said.",
    "{s} is {n}, and nothing less.",
};
// The words say the opposite of what is meant.
constexpr std::string_view negated[] = {
    "{s} is not {A} at all.",
    "{s} is anything but {A}.",
    "Nobody could call {s} {A} or {A}.",
    "It is not nearly as {A} as I had been told.",
    "There is nothing {A} about {s}.",
    "I was told it was {N}, and that could not be more wrong.",
    "{s} never {V}, whatever the posters say.",
    "{s} is far from {A}, let alone {N}.",
};
// Both are said; which one counts is a matter of order and of small words.
constexpr std::string_view contrasted[] = {
    "{s} starts out {A} but ends up {a}.",
    "{s} may be {A}, yet as a whole it is {n}.",
    "{s} is {a}, even though {s} is {A}.",
    "I went in expecting {N} and got {n}.",
    "Some will say {s} is {A}; I say it is {a}.",
    "It is less {A} than {a}.",
    "It is more {a} than {A}.",
    "It looked like {N} for ten minutes, and then it turned into {n}.",
    "It is {n}, not {N}.",
    "Where others saw {N}, I saw {n}.",
};
constexpr std::string_view remarks[] = {
    "We saw it on a {d} evening in {c}.",
    "It runs for {k} minutes.",
    "The story follows {j} who moves to {c}.",
    "I watched it with {p}.",
    "It was shot in {c} in {k} days.",
    "It tells of {j} and {j}.",
    "{p} had bought the tickets.",
    "There were about {k} people in the room that {d}.",
    "Most of it takes place in {c} on a single {d}.",
    "It was shown in {c} before it came here.",
};

std::string_view pick(Words words, Draws& draws) { return words[draws.below(words.size())]; }

Words words_for(char slot, int label) {
  switch (slot) {
    case 'a':
      return adjectives[label];
    case 'n':
      return nouns[label];
    case 'v':
      return verbs[label];
    case 's':
      return subjects;
    case 'p':
      return people;
    case 'c':
      return places;
    case 'd':
      return days;
    default:
      return jobs;
  }
}

std::string fill(char slot, int label, Draws& draws) {
  if (slot == 'k') return std::to_string(20 + draws.below(180));
  const bool contradicts = slot < 'a';
  if (contradicts) slot = static_cast<char>(slot - 'A' + 'a');
  return std::string(pick(words_for(slot, contradicts ? 1 - label : label), draws));
}

// A word that the sentence has already is drawn again.
std::string sentence(std::string_view pattern, int label, Draws& draws) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      text += pattern[i];
      continue;
    }
    std::string word;
    do word = fill(pattern[i + 1], label, draws);
    while (text.find(word) != std::string::npos);
    text += word;
    i += 2;
  }
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

Words opinions(Draws& draws) {
  const uint64_t percent = draws.below(100);
  if (percent < 40) return direct;
  return percent < 65 ? Words(negated) : Words(contrasted);
}

// Two to four opinions and one to three remarks in any order, no pattern twice.
std::string review_text(int label, Draws& draws) {
  const uint64_t opinion_count = 2 + draws.below(3), remark_count = 1 + draws.below(3);
  std::vector<std::string_view> patterns;
  while (patterns.size() < opinion_count + remark_count) {
    const Words kind = patterns.size() < opinion_count ? opinions(draws) : Words(remarks);
    const auto pattern = pick(kind, draws);
    if (std::ranges::find(patterns, pattern) == patterns.end()) patterns.push_back(pattern);
  }
  shuffle(patterns, draws);
  std::string text;
  for (const auto pattern : patterns) {
    if (!text.empty()) text += ' ';
    text += sentence(pattern, label, draws);
  }
  return text;
}

}  // namespace

std::vector<Review> generate_reviews(int64_t count, uint64_t seed) {
  Draws draws(seed, "data.corpus");
  std::unordered_set<std::string> texts;
  std::vector<Review> reviews;
  while (std::ssize(reviews) < count) {
    const int label = static_cast<int>(reviews.size() % 2);
    std::string text = review_text(label, draws);
    if (texts.insert(text).second)
      reviews.push_back({std::move(text), label, std::to_string(reviews.size() + 1)});
  }
  return reviews;
}

void write_json_lines(const std::string& path, const std::vector<Review>& reviews) {
  std::string lines;
  for (const Review& review : reviews)
    lines += nlohmann::json{{"text", review.text}, {"label", review.label}}.dump() + '\n';
  write_file_atomically(path, lines);
}

}  // namespace tenon
