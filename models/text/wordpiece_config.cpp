// Reads what a HuggingFace folder says about its WordPiece tokeniser: tokenizer.json (format of
// `tokenizers`), or the older vocab.txt with the switches of BertTokenizer in tokenizer_config.json.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kernels/base/error.h"
#include "models/text/wordpiece.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.good() && fs::is_regular_file(path), path.string(), ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

json read_json(const fs::path& path) {
  json document = json::parse(read_text(path), nullptr, false);
  check(document.is_object(), path.string(), ": is not a JSON object");
  return document;
}

// The value of a field, or the default where it is missing or null.
template <class T>
T field(const json& object, const char* name, T value) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? value : found->get<T>();
}

std::string type_of(const json& part) {
  return part.is_object() ? field<std::string>(part, "type", "") : "none";
}

void read_normalizer(const json& part, WordPieceConfig& config) {
  if (part.is_null()) {
    config.basic = {false, false, false, false};
    return;
  }
  check(type_of(part) == "BertNormalizer", config.source, ": has the normalizer '", type_of(part),
        "'; only BertNormalizer is supported");
  BasicTokenizer& basic = config.basic;
  basic.clean_text = field(part, "clean_text", true);
  basic.handle_chinese_chars = field(part, "handle_chinese_chars", true);
  basic.lowercase = field(part, "lowercase", true);
  basic.strip_accents = field(part, "strip_accents", basic.lowercase);
}

void read_model(const json& model, WordPieceConfig& config) {
  std::string type = type_of(model);
  if (type.empty()) type = model.contains("merges") ? "BPE" : "WordPiece";  // old files name no type
  check(type == "WordPiece", config.source, ": is a ", type, " tokeniser; only WordPiece is supported");
  config.unk = field(model, "unk_token", config.unk);
  config.prefix = field(model, "continuing_subword_prefix", config.prefix);
  config.max_word_length = field(model, "max_input_chars_per_word", config.max_word_length);
  check(config.max_word_length > 0, config.source, ": max_input_chars_per_word must be positive");
  const json& vocabulary = model.at("vocab");
  config.vocabulary.reserve(vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) config.vocabulary.emplace_back(token, id.get<int32_t>());
}

// The names of [CLS] and [SEP] stand in the post-processor, which must put one before and one after the text.
void read_post_processor(const json& part, WordPieceConfig& config) {
  if (part.is_null()) return;
  const std::string type = type_of(part);
  if (type == "BertProcessing") {
    config.cls = part.at("cls").at(0).get<std::string>();
    config.sep = part.at("sep").at(0).get<std::string>();
    return;
  }
  const json single = type == "TemplateProcessing" ? part.at("single") : json::array();
  const bool usual = single.size() == 3 && single[0].contains("SpecialToken") &&
                     single[1].contains("Sequence") && single[2].contains("SpecialToken");
  check(usual, config.source,
        ": has a post-processor that is not [CLS] text [SEP], which is all that is supported");
  config.cls = single[0]["SpecialToken"].at("id").get<std::string>();
  config.sep = single[2]["SpecialToken"].at("id").get<std::string>();
}

void read_added_tokens(const json& tokens, WordPieceConfig& config) {
  for (const json& token : tokens)
    config.added.push_back({.content = token.at("content").get<std::string>(),
                            .id = token.at("id").get<int32_t>(),
                            .single_word = field(token, "single_word", false),
                            .lstrip = field(token, "lstrip", false),
                            .rstrip = field(token, "rstrip", false),
                            .normalized = field(token, "normalized", !field(token, "special", false))});
}

WordPieceConfig read_tokenizer_json(const fs::path& path) {
  const json document = read_json(path);
  WordPieceConfig config;
  config.source = path.string();
  check(document.contains("model") && document["model"].is_object(), config.source,
        ": has no model; is it a tokenizer.json?");
  read_model(document["model"], config);
  read_normalizer(document.value("normalizer", json()), config);
  const std::string splitter = type_of(document.value("pre_tokenizer", json()));
  check(splitter == "BertPreTokenizer", config.source, ": has the pre-tokenizer '", splitter,
        "'; only BertPreTokenizer is supported");
  read_post_processor(document.value("post_processor", json()), config);
  read_added_tokens(document.value("added_tokens", json::array()), config);
  return config;
}

// A special token in tokenizer_config.json is its text, or an object with the text as content.
std::string special_token(const json& settings, const char* name, const std::string& usual) {
  const json token = settings.value(name, json());
  if (token.is_object()) return token.at("content").get<std::string>();
  return token.is_string() ? token.get<std::string>() : usual;
}

WordPieceConfig read_vocab_txt(const fs::path& path, const json& settings) {
  WordPieceConfig config;
  config.source = path.string();
  std::istringstream lines(read_text(path));
  int32_t id = 0;
  for (std::string line; std::getline(lines, line); ++id) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    config.vocabulary.emplace_back(line, id);
  }
  BasicTokenizer& basic = config.basic;
  basic.lowercase = field(settings, "do_lower_case", true);
  basic.strip_accents = field(settings, "strip_accents", basic.lowercase);
  basic.handle_chinese_chars = field(settings, "tokenize_chinese_chars", true);
  config.unk = special_token(settings, "unk_token", config.unk);
  config.cls = special_token(settings, "cls_token", config.cls);
  config.sep = special_token(settings, "sep_token", config.sep);
  const std::string mask = special_token(settings, "mask_token", "[MASK]");
  const std::string pad = special_token(settings, "pad_token", config.pad);
  for (const auto& [token, token_id] : config.vocabulary)
    if (token == config.unk || token == config.cls || token == config.sep || token == pad || token == mask)
      config.added.push_back({.content = token, .id = token_id});
  return config;
}

}  // namespace

WordPieceConfig read_wordpiece_config(const fs::path& path) {
  fs::path file = path;
  if (fs::is_directory(path))
    file = path / (fs::exists(path / "tokenizer.json") ? "tokenizer.json" : "vocab.txt");
  check(fs::exists(file), file.string(),
        fs::is_directory(path) ? ": not found, nor a tokenizer.json beside it" : ": not found");
  const fs::path settings_file = file.parent_path() / "tokenizer_config.json";
  try {
    const json settings = fs::exists(settings_file) ? read_json(settings_file) : json::object();
    auto config = file.extension() == ".json" ? read_tokenizer_json(file) : read_vocab_txt(file, settings);
    config.pad = special_token(settings, "pad_token", config.pad);
    return config;
  } catch (const json::exception& error) {
    fail(file.string(), ": is not laid out as a WordPiece tokeniser: ", error.what());
  }
}

}  // namespace tenon
