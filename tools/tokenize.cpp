// tenon tokenize: tokens and ids of texts.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "models/text/wordpiece.h"
#include "tools/commands.h"
#include "tools/texts.h"

namespace tenon {
namespace {

struct TokenizeCommand {
  std::string encoder;
  TextSource texts;
  int max_length = 0;
  bool as_jsonl = false;

  void run() {
    const WordPiece pieces = WordPiece::load(encoder);
    WordPiece::Cache cache;
    for (const std::string& text : texts.read()) {
      const std::vector<int32_t> ids = pieces.encode(text, max_length, &cache);
      if (as_jsonl)
        print_json(ids);
      else
        print(pieces, ids);
    }
  }

 private:
  static void print_json(const std::vector<int32_t>& ids) {
    std::string line = "{\"ids\": [";
    for (size_t i = 0; i < ids.size(); ++i) line += str(i ? ", " : "", ids[i]);
    std::puts((line + "]}").c_str());
  }
  static void print(const WordPiece& pieces, const std::vector<int32_t>& ids) {
    std::string tokens, numbers;
    for (int32_t id : ids) {
      tokens += pieces.token(id) + " ";
      numbers += str(id, " ");
    }
    std::printf("%s\n%s\n", tokens.c_str(), numbers.c_str());
  }
};

}  // namespace

void add_tokenize(CLI::App& program) {
  auto command = std::make_shared<TokenizeCommand>();
  CLI::App* c = program.add_subcommand("tokenize", "Show the tokens and ids of texts");
  c->add_option("ENCODER", command->encoder, "Folder of a HuggingFace BERT, vocab.txt or tokenizer.json")
      ->required();
  command->texts.add_to(*c);
  c->add_flag("--jsonl", command->as_jsonl, "{\"ids\": [...]} a line, special tokens included");
  c->add_option("--max-length", command->max_length, "Cut texts to N tokens");
  c->footer("Example:\n  tenon tokenize bert-base-uncased \"Hello WORLD how ARE yoU?\"");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
