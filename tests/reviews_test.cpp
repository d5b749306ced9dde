// Every kind of source gives the same reviews, and every broken one a sentence that names the place.
#include "models/data/reviews.h"

#include <algorithm>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/data_sources.h"

using namespace tenon;
using namespace std::string_literals;
using Catch::Contains;
using test::TemporaryFolder;

namespace {

// The message with which reading fails, or "" if it does not.
std::string complaint(const std::filesystem::path& path, const Columns& columns = {}) {
  try {
    read_dataset(path.string(), columns);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string complaint(const std::string& name, std::string_view bytes) {
  TemporaryFolder folder;
  test::write(folder / name, bytes);
  return complaint(folder / name);
}

Dataset read_file_of(const std::string& name, std::string_view bytes, const Columns& columns = {}) {
  TemporaryFolder folder;
  test::write(folder / name, bytes);
  return read_dataset((folder / name).string(), columns);
}

std::string summary(const std::vector<Review>& reviews) {
  std::string text;
  for (const Review& review : reviews) text += str(review.id, '=', review.label, ':', review.text, '|');
  return text;
}

const std::string train_summary =
    "train/neg/0_1.txt=0:bad|train/neg/10_2.txt=0:worse|train/pos/3_9.txt=1:good <br />|";
const std::string test_summary = "test/neg/0_3.txt=0:dull|test/pos/0_10.txt=1:fine|";

}  // namespace

TEST_CASE("an aclImdb folder is read in the order of its names, given itself or its parent") {
  TemporaryFolder folder;
  test::write_imdb(folder / "aclImdb");
  for (const auto& path : {folder.path(), folder / "aclImdb", folder / "aclImdb/"}) {
    const Dataset data = read_dataset(path.string());
    CHECK(summary(data.train) == train_summary);
    CHECK(summary(data.test) == test_summary);
    CHECK(data.sources.at(0).kind == SourceKind::folder);
    CHECK(data.sources.at(0).bytes == 27);
    CHECK(data.sources.at(0).sha256 == sha256_of_reviews(data.train, data.test));
  }
}

TEST_CASE("an archive gives the reviews of its folder, whatever the order of its members") {
  TemporaryFolder folder;
  auto files = test::imdb_files();
  for (int i = 0; i < 2; ++i, std::ranges::reverse(files)) {
    test::write_archive(folder / "imdb.tar.gz", files);
    const Dataset data = read_dataset((folder / "imdb.tar.gz").string());
    CHECK(summary(data.train) == train_summary);
    CHECK(summary(data.test) == test_summary);
    CHECK(data.sources.at(0).kind == SourceKind::archive);
    CHECK(data.sources.at(0).sha256.size() == 64);
  }
}

TEST_CASE(
    "CSV: quotes, doubled quotes, newlines and separators inside, BOM, CRLF, blank lines, named columns") {
  const std::string csv =
      "\xEF\xBB\xBFid,sentiment,\"my text\"\r\n"
      "1,pos,\"He said \"\"no\"\", twice.\nThen left.\"\r\n"
      "\r\n"
      "2,Negative,plain \"quoted\" inside\r\n"
      "3,1,\"\"\"\"\n"
      "4,false,last line without newline";
  const Dataset data = read_file_of("a.CSV", csv, {.text = "my text", .label = "sentiment"});
  CHECK(summary(data.train) ==
        "2=1:He said \"no\", twice.\nThen left.|5=0:plain \"quoted\" inside|6=1:\"|7=0:last line without "
        "newline|");
  CHECK(data.test.empty());
}

TEST_CASE("TSV: a line a review, quotes are text; invalid UTF-8 and zero bytes stay as they are") {
  const std::string tsv = "label\ttext\r\n1\t\"Fine\" film, \xff\xc3\r\n0\tz\0z\n"s;
  const Dataset data = read_file_of("a.tsv", tsv);
  REQUIRE(data.train.size() == 2);
  CHECK(data.train[0].text == "\"Fine\" film, \xff\xc3");
  CHECK(data.train[1].text == "z\0z"s);
}

TEST_CASE("JSON lines: escapes, every spelling of the labels, blank lines, CRLF") {
  const Dataset data = read_file_of("a.jsonl",
                                    "{\"text\": \"a\\n\\u00e9\", \"label\": 1}\r\n\n"
                                    "{\"label\": false, \"text\": \"b\", \"more\": [1]}\n"
                                    "{\"text\": \"c\", \"label\": \"POSITIVE\"}");
  CHECK(summary(data.train) == "1=1:a\n\xc3\xa9|3=0:b|4=1:c|");
}

TEST_CASE("the eight labels, in any case") {
  const Dataset data =
      read_file_of("a.csv", "text,label\na,0\na,neg\na,negative\na,False\na,1\na,Pos\na,POSITIVE\na,true\n");
  for (size_t i = 0; i < 8; ++i) CHECK(data.train.at(i).label == (i < 4 ? 0 : 1));
}

TEST_CASE("a second source gives the test part") {
  TemporaryFolder folder;
  test::write(folder / "a.csv", "text,label\nx,1\n");
  test::write(folder / "b.tsv", "text\tlabel\ny\t0\n");
  const Dataset data = read_dataset((folder / "a.csv").string(), (folder / "b.tsv").string(), {});
  CHECK(summary(data.train) == "2=1:x|");
  CHECK(summary(data.test) == "2=0:y|");
  CHECK(data.sources.size() == 2);
}

TEST_CASE("what is not there, or of no known kind, is refused by name") {
  TemporaryFolder folder;
  CHECK_THAT(complaint(folder / "nothing.csv"),
             Contains("there is no file or folder '" + (folder / "nothing.csv").string()));
  CHECK_THAT(complaint("a.txt", "hello"), Contains("a.txt' is of no known kind"));
  std::filesystem::create_directories(folder / "model");
  CHECK_THAT(complaint(folder / "model"),
             Contains("model' is not an aclImdb folder; it should hold train/pos"));
}

TEST_CASE("an empty data set is refused") {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "train/pos");
  CHECK_THAT(complaint(folder.path()), Contains("holds no reviews"));
  for (const char* name : {"a.csv", "a.tsv", "a.jsonl"})
    CHECK_THAT(complaint(name, ""), Contains("holds no reviews"));
  CHECK_THAT(complaint("a.csv", "text,label\n"), Contains("holds no reviews"));
}

TEST_CASE("an empty review is refused with its name or line") {
  TemporaryFolder folder;
  test::write_imdb(folder.path());
  test::write(folder / "train/pos/7_8.txt", " \n");
  CHECK_THAT(complaint(folder.path()), Contains("the review train/pos/7_8.txt of "));
  CHECK_THAT(complaint("a.csv", "text,label\nx,1\n\"\n\",1\n"), Contains("the review on line 3 of "));
  CHECK_THAT(complaint("a.jsonl", R"({"text": "", "label": 1})"), Contains("a.jsonl' is empty"));
}

TEST_CASE("a label that is neither class is refused with its line") {
  CHECK_THAT(complaint("a.csv", "text,label\n\"x\ny\",1\nz,2\n"), Contains("line 4 of "));
  CHECK_THAT(complaint("a.csv", "text,label\nz,2\n"),
             Contains("a.csv' has the label \"2\", which is neither class; use 0 or 1"));
  CHECK_THAT(complaint("a.jsonl", R"({"text": "x", "label": 0.5})"), Contains("has the label \"0.5\""));
  CHECK_THAT(complaint("a.jsonl", R"({"text": "x", "label": null})"), Contains("has the label \"null\""));
}

TEST_CASE("a missing column is refused with those that are there") {
  CHECK_THAT(complaint("a.csv", "review,sentiment\nx,1\n"),
             Contains("has no column \"text\" but review, sentiment; name one"));
  CHECK_THAT(complaint("a.tsv", "text\tsentiment\nx\t1\n"),
             Contains("has no column \"label\" but text, sentiment; name one"));
  CHECK_THAT(complaint("a.jsonl", R"({"review": "x", "label": 1})"),
             Contains("a.jsonl' has no \"text\" but label, review; name"));
}

TEST_CASE("a broken table is refused with its line") {
  CHECK_THAT(complaint("a.csv", "text,label\nx,1\na,b,1\n"), Contains("line 3 of "));
  CHECK_THAT(complaint("a.csv", "text,label\na,b,1\n"), Contains("has 3 fields, but the header line has 2"));
  CHECK_THAT(complaint("a.csv", "text,label\nx,1\n\"never closed,1\n"), Contains("the record on line 3 of "));
  CHECK_THAT(complaint("a.csv", "text,label\n\"x\"y,1\n"), Contains("text follows the closing quote"));
}

TEST_CASE("a broken JSON line is refused with its number") {
  CHECK_THAT(complaint("a.jsonl", "{\"text\": \"x\", \"label\": 1}\n{\"text\": \"y\"\n"),
             Contains("line 2 of "));
  CHECK_THAT(complaint("a.jsonl", "{\"text\": \"y\"\n"), Contains("a.jsonl' is not valid JSON (parse error"));
  CHECK_THAT(complaint("a.jsonl", "[1]\n"), Contains("is not a JSON object"));
  CHECK_THAT(complaint("a.jsonl", R"({"text": 5, "label": 1})"), Contains("\"text\" is not a string"));
}

TEST_CASE("an archive cut anywhere is said to be cut short; no gzip and no tar are told apart") {
  TemporaryFolder folder;
  test::write_archive(folder / "whole.tar.gz", test::imdb_files());
  const std::string bytes = read_file((folder / "whole.tar.gz").string());
  for (size_t size = 0; size < bytes.size(); ++size) {
    INFO(size << " of " << bytes.size() << " bytes");
    const std::string message = complaint("cut.tar.gz", std::string_view(bytes).substr(0, size));
    REQUIRE(message.find("cut.tar.gz' is cut short") != std::string::npos);
  }
  CHECK_THAT(complaint("a.tar.gz", "hello, I am no archive"), Contains("a.tar.gz' is not a gzip file"));
  test::write_archive(folder / "b.tar.gz", {{"README", "hello"}});
  CHECK_THAT(complaint(folder / "b.tar.gz"), Contains("b.tar.gz' is not an aclImdb archive"));
}

TEST_CASE("the published archive holds 25,000 and 25,000 reviews, half of them positive") {
  const auto path = test::shared_data() / "aclImdb_labeled_50k.tar.gz";
  if (!std::filesystem::exists(path)) SKIPPED("no aclImdb_labeled_50k.tar.gz in the shared data");
  const Dataset data = read_dataset(path.string());
  for (const auto* part : {&data.train, &data.test}) {
    CHECK(part->size() == 25000);
    CHECK(std::ranges::count(*part, 1, &Review::label) == 12500);
  }
  CHECK(data.train.front().id == "train/neg/0_3.txt");
  CHECK(data.train.front().text.starts_with("Story of a man who has unnatural feelings for a pig."));
}
