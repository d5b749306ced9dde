#include "models/bert/config.h"

#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "kernels/elementwise/unary.h"
#include "models/bert/bert.h"

namespace tenon {
namespace {

using nlohmann::json;

class Reader {
 public:
  Reader(const json& config, std::string file) : config_(config), file_(std::move(file)) {}

  void size(const char* key, int64_t& value) const {
    if (!config_.contains(key)) return;
    const json& entry = config_[key];
    check(entry.is_number_integer(), file_, ": ", key, " must be a whole number, not ", entry.dump());
    value = entry.get<int64_t>();
    check(value >= 1 && value <= int64_t{1} << 31, file_, ": ", key, " is ", value, "; it must be 1 or more");
  }
  void probability(const char* key, double& value) const {
    number(key, value);
    check(value >= 0 && value < 1, file_, ": ", key, " is ", value, "; it must be at least 0 and below 1");
  }
  void number(const char* key, double& value) const {
    if (!config_.contains(key) || config_[key].is_null()) return;
    check(config_[key].is_number(), file_, ": ", key, " must be a number, not ", config_[key].dump());
    value = config_[key].get<double>();
  }
  void text(const char* key, std::string& value) const {
    if (!config_.contains(key) || config_[key].is_null()) return;
    check(config_[key].is_string(), file_, ": ", key, " must be a string, not ", config_[key].dump());
    value = config_[key].get<std::string>();
  }

 private:
  const json& config_;
  std::string file_;
};

}  // namespace

BertConfig BertConfig::read(const std::filesystem::path& path) {
  const std::string file = path.string();
  const json parsed = json::parse(read_file(file), nullptr, false);
  check(parsed.is_object(), file, " is not valid JSON; get the model's config.json again");
  const Reader reader(parsed, file);

  std::string model_type = "bert", position_type = "absolute";
  reader.text("model_type", model_type);
  reader.text("position_embedding_type", position_type);
  check(model_type == "bert", file, " describes a model of type '", model_type, "'; tenon reads type 'bert'");
  check(position_type == "absolute", file, ": position_embedding_type is '", position_type,
        "'; tenon's BERT has absolute positions only");

  BertConfig config;
  reader.size("vocab_size", config.vocab_size);
  reader.size("hidden_size", config.hidden_size);
  reader.size("num_hidden_layers", config.num_hidden_layers);
  reader.size("num_attention_heads", config.num_attention_heads);
  reader.size("intermediate_size", config.intermediate_size);
  reader.size("max_position_embeddings", config.max_position_embeddings);
  reader.size("type_vocab_size", config.type_vocab_size);
  reader.text("hidden_act", config.hidden_act);
  reader.number("layer_norm_eps", config.layer_norm_eps);
  reader.number("initializer_range", config.initializer_range);
  reader.probability("hidden_dropout_prob", config.hidden_dropout_prob);
  reader.probability("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  check(config.hidden_size % config.num_attention_heads == 0, file, ": hidden_size ", config.hidden_size,
        " is not a multiple of num_attention_heads ", config.num_attention_heads);
  check(config.layer_norm_eps >= 0, file, ": layer_norm_eps is ", config.layer_norm_eps,
        "; it must not be negative");
  check(is_bert_activation(config.hidden_act), file, ": hidden_act '", config.hidden_act,
        "' is unknown; use gelu, gelu_new, relu, silu, tanh or another of HuggingFace's");
  return config;
}

}  // namespace tenon
