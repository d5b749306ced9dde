// The tokeniser's rules one by one, on a vocabulary made here. tests/oracle/wordpiece_exact.py holds it
// against HuggingFace's on real text and on every code point.
#include "models/text/wordpiece.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/base/error.h"
#include "tests/catch.h"

namespace tenon {
namespace {

using Catch::Matchers::Contains;
using Words = std::vector<std::string>;
using Ids = std::vector<int32_t>;

const Words small_vocabulary = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "the",
                                "The",   "naive", "naïve", "mask",  "[",      "]",  ".",     "中",     "文",
                                "a",     "##b",   "ab",    "x",     "##x",    "´",  "##́",    "ʼ",      "n"};

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string lines(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += word + "\n";
  return text;
}

// A folder with the small vocabulary and the given switches.
WordPiece small(const std::string& settings = "{}") {
  test::TemporaryFolder folder;
  write(folder / "vocab.txt", lines(small_vocabulary));
  write(folder / "tokenizer_config.json", settings);
  return WordPiece::load(folder.path());
}

Words words_of(const WordPiece& tokenizer, std::string_view text) {
  WordPiece::Cache cache;
  const Ids ids = tokenizer.tokenize(text, &cache);
  CHECK(ids == tokenizer.tokenize(text, &cache));  // from the cache
  CHECK(ids == tokenizer.tokenize(text));          // without one
  Words words;
  for (int32_t id : ids) words.push_back(tokenizer.token(id));
  return words;
}

nlohmann::json tokenizer_json() {
  nlohmann::json document = {
      {"added_tokens", nlohmann::json::array()},
      {"truncation", {{"max_length", 3}}},
      {"padding", {{"strategy", {{"Fixed", 64}}}}},
      {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}, {"strip_accents", nullptr}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor", {{"type", "BertProcessing"}, {"cls", {"[CLS]", 2}}, {"sep", {"[SEP]", 3}}}},
      {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"max_input_chars_per_word", 6}}}};
  for (size_t i = 0; i < small_vocabulary.size(); ++i) document["model"]["vocab"][small_vocabulary[i]] = i;
  return document;
}

std::string error_of(const std::string& file, const std::string& text) {
  test::TemporaryFolder folder;
  write(folder / file, text);
  try {
    WordPiece::load(folder / file);
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains(file));
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("words are cut greedily into the longest pieces, or are unknown as a whole") {
  const WordPiece tokenizer = small();
  CHECK(words_of(tokenizer, "unaffable the") == Words{"un", "##aff", "##able", "the"});
  CHECK(words_of(tokenizer, "unaffablez the") == Words{"[UNK]", "the"});
  CHECK(words_of(tokenizer, "ab abb") == Words{"ab", "ab", "##b"});
  CHECK(words_of(tokenizer, "").empty());
  CHECK(words_of(tokenizer, " \t\r\n").empty());
  CHECK(words_of(tokenizer, std::string(100, 'x')).size() == 100);
  CHECK(words_of(tokenizer, std::string(101, 'x')) == Words{"[UNK]"});
}

TEST_CASE("case and accents go only when they should") {
  CHECK(words_of(small(), "The naïve NAI\u0308VE") == Words{"the", "naive", "naive"});
  const WordPiece cased = small(R"({"do_lower_case": false})");
  CHECK(words_of(cased, "The the naïve THE") == Words{"The", "the", "naïve", "[UNK]"});
  const WordPiece accented = small(R"({"do_lower_case": true, "strip_accents": false})");
  CHECK(words_of(accented, "NAÏVE") == Words{"naïve"});
  CHECK(words_of(small(R"({"do_lower_case": false, "strip_accents": true})"), "naïve") == Words{"naive"});
}

TEST_CASE("ideographs stand alone, unless that is switched off") {
  CHECK(words_of(small(), "a中文a") == Words{"a", "中", "文", "a"});
  CHECK(words_of(small(R"({"tokenize_chinese_chars": false})"), "中文") == Words{"[UNK]"});
}

TEST_CASE("control characters vanish and every kind of whitespace separates") {
  const WordPiece tokenizer = small();
  CHECK(words_of(tokenizer,
                 "t\u200bh\x01"
                 "e\u00ad\ufeff") == Words{"the"});
  CHECK(words_of(tokenizer, std::string_view("a\0b", 3)) == Words{"ab"});
  CHECK(words_of(tokenizer, "a\u3000a\u2028a\u00a0a\ta") == Words(5, "a"));
}

TEST_CASE("special tokens in the text stay whole, in their exact spelling only") {
  const WordPiece tokenizer = small();
  CHECK(words_of(tokenizer, "the[MASK]. [SEP][mask]") ==
        Words{"the", "[MASK]", ".", "[SEP]", "[", "mask", "]"});
  CHECK(words_of(tokenizer, "[MA\u200bSK]") == Words{"[", "mask", "]"});
  CHECK(words_of(tokenizer, "[[MASK]]") == Words{"[", "[MASK]", "]"});
}

TEST_CASE("invalid UTF-8 counts as U+FFFD, one for each maximal part") {
  const WordPiece tokenizer = small();
  CHECK(words_of(tokenizer,
                 "t\xffh\xe2\x82"
                 "e") == Words{"the"});  // U+FFFD is cleaned away
  const BasicTokenizer raw{false, false, false, false};
  CHECK(raw.normalize("\xe2\x82"
                      "a\xc3") == U"\ufffda\ufffd");
  CHECK(raw.normalize("\xed\xa0\x80") == U"\ufffd\ufffd\ufffd");  // a surrogate
  CHECK(raw.normalize("\xf0\x9f\x98 \xf4\x90") == U"\ufffd \ufffd\ufffd");
  CHECK(raw.normalize("\xc0\xaf\xf0\x9f\x98\x80") == U"\ufffd\ufffd\U0001f600");
}

TEST_CASE("the Unicode tables are those of tokenizers, not those of utf8proc") {
  const BasicTokenizer uncased;
  CHECK(uncased.normalize("\u0898x") == U"\u0898x");              // a mark of Unicode 14: stays
  CHECK(uncased.normalize("\u1734x") == U"x");                    // no longer a nonspacing mark
  CHECK(uncased.normalize("\U00016EA0") == U"\U00016EBB");        // a capital of Unicode 17
  CHECK(uncased.normalize("\U0002B820") == U"\U0002B820");        // an ideograph that is not in its list
  CHECK(uncased.normalize("\u302e\u0334") == U"\u302e");          // one mark of two goes
  CHECK(uncased.normalize("a\u08d4\u302e") == U"a\u302e\u08d4");  // in canonical order
  std::u32string_view tibetan = U"a\u2e52b\u166dc";  // punctuation of Unicode 14; a sign that was punctuation
  CHECK(next_word(tibetan) == U"a\u2e52b");
  CHECK(next_word(tibetan) == U"\u166d");
}

TEST_CASE("encode frames the text and cuts to the length given") {
  const WordPiece tokenizer = small();
  CHECK(tokenizer.encode("the a x") == Ids{2, 8, 18, 21, 3});
  CHECK(tokenizer.encode("the a x", 4) == Ids{2, 8, 18, 3});
  CHECK(tokenizer.encode("unaffable", 3) == Ids{2, 5, 3});
  CHECK(tokenizer.encode("the", 2) == Ids{2, 3});
  CHECK(tokenizer.encode("") == Ids{2, 3});
  CHECK_THROWS_WITH(tokenizer.encode("the", 1), Contains("max_length"));
  CHECK_THROWS_WITH(tokenizer.token(1000), Contains("1000"));
}

TEST_CASE("a cut text leaves a cache that is right for the next one") {
  const WordPiece tokenizer = small();
  WordPiece::Cache cache;
  CHECK(tokenizer.encode("中文中", 3, &cache) == Ids{2, 16, 3});
  CHECK(tokenizer.encode("中文中", 0, &cache) == Ids{2, 16, 17, 16, 3});
  const WordPiece other = small(R"({"tokenize_chinese_chars": false})");
  CHECK(other.encode("中文中", 0, &cache) == Ids{2, 1, 3});
}

TEST_CASE("tokenizer.json gives the settings; its truncation and padding are ignored") {
  test::TemporaryFolder folder;
  nlohmann::json document = tokenizer_json();
  document["added_tokens"] = {
      {{"id", 27}, {"content", "<e>"}, {"lstrip", true}, {"rstrip", true}, {"special", true}},
      {{"id", 28}, {"content", "Foo"}, {"normalized", true}},
      {{"id", 8}, {"content", "the"}, {"single_word", true}, {"normalized", false}}};
  write(folder / "tokenizer.json", document.dump());
  write(folder / "vocab.txt", "nothing of use");  // tokenizer.json comes first
  const WordPiece tokenizer = WordPiece::load(folder.path());
  CHECK(tokenizer.size() == 29);
  CHECK(words_of(tokenizer, "a <e>\u00a0 <e>x") == Words{"a", "<e>", "<e>", "x"});
  CHECK(words_of(tokenizer, "afoob") == Words{"a", "Foo", "[UNK]"});
  CHECK(words_of(tokenizer, "the thea ethe") == Words{"the", "[UNK]", "[UNK]"});
  CHECK(words_of(tokenizer, "xxxxxx xxxxxxx") == Words{"x", "##x", "##x", "##x", "##x", "##x", "[UNK]"});
  CHECK(tokenizer.encode("x a x a x").size() == 7);
}

TEST_CASE("the hash tells vocabularies and settings apart") {
  CHECK(small().hash() == small().hash());
  CHECK(small().hash() != small(R"({"do_lower_case": false})").hash());
  WordPieceConfig config;
  for (const std::string& word : small_vocabulary)
    config.vocabulary.emplace_back(word, static_cast<int32_t>(config.vocabulary.size()));
  const uint64_t hash = WordPiece(config).hash();
  config.vocabulary.back().first = "m";
  CHECK(WordPiece(config).hash() != hash);
}

TEST_CASE("threads with a cache each agree") {
  const WordPiece tokenizer = small();
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "unaffable naïve [MASK] the" + std::string(i % 7, 'x') + "中 ";
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  for (Ids& ids : found)
    threads.emplace_back([&] {
      WordPiece::Cache cache;
      ids = tokenizer.encode(text, 0, &cache);
    });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : found) CHECK(ids == expected);
}

TEST_CASE("a file that is no usable WordPiece tokeniser is refused by name") {
  for (const char* missing : {"[UNK]", "[CLS]", "[SEP]", "[PAD]"}) {
    Words words = small_vocabulary;
    std::erase(words, missing);
    CHECK_THAT(error_of("vocab.txt", lines(words)), Contains(missing));
  }
  const auto changed = [](const char* pointer, const nlohmann::json& value) {
    nlohmann::json document = tokenizer_json();
    document[nlohmann::json::json_pointer(pointer)] = value;
    return error_of("tokenizer.json", document.dump());
  };
  CHECK_THAT(changed("/model/type", "BPE"), Contains("BPE"));
  CHECK_THAT(changed("/model/type", "Unigram"), Contains("Unigram"));
  CHECK_THAT(changed("/normalizer", {{"type", "NFKC"}}), Contains("NFKC"));
  CHECK_THAT(changed("/pre_tokenizer", {{"type", "ByteLevel"}}), Contains("ByteLevel"));
  CHECK_THAT(changed("/post_processor", {{"type", "RobertaProcessing"}}), Contains("post-processor"));
  CHECK_THAT(changed("/model/vocab/x", -1), Contains("-1"));
  CHECK_THAT(changed("/model/vocab/x", "one"), Contains("not laid out"));
  CHECK_THAT(changed("/model/max_input_chars_per_word", 0), Contains("positive"));
  CHECK_THAT(error_of("tokenizer.json", "{\"model\": "), Contains("not a JSON object"));
  CHECK_THAT(error_of("tokenizer.json", "{}"), Contains("no model"));
  CHECK_THROWS_WITH(WordPiece::load("/nowhere/vocab.txt"), Contains("/nowhere/vocab.txt"));
}

TEST_CASE("bert-base-uncased's vocabulary gives the published ids") {
  const auto folder = test::shared_data() / "bert-base-uncased";
  if (!std::filesystem::exists(folder / "vocab.txt"))
    SKIPPED("bert-base-uncased is not in TENON_SHARED_DATA");
  for (const char* file : {"", "vocab.txt", "tokenizer.json"}) {
    const WordPiece tokenizer = WordPiece::load(folder / file);
    CHECK(tokenizer.tokenize("Hello WORLD how ARE yoU?") == Ids{7592, 2088, 2129, 2024, 2017, 1029});
    CHECK(tokenizer.cls_id() == 101);
    CHECK(tokenizer.sep_id() == 102);
    CHECK(tokenizer.pad_id() == 0);
    CHECK(tokenizer.unk_id() == 100);
    CHECK(tokenizer.size() == 30522);
    std::string long_review;
    for (int i = 0; i < 600; ++i) long_review += "film ";
    const Ids cut = tokenizer.encode(long_review, 512);
    CHECK(cut.size() == 512);
    CHECK((cut.front() == 101 && cut[510] == 2143 && cut.back() == 102));
  }
}

}  // namespace tenon
