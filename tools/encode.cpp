// tenon encode: hidden states of texts into a safetensors file, packed.
#include <cstdio>

#include "engine/autograd.h"
#include "engine/precision.h"
#include "engine/train/checkpoint.h"
#include "models/encoder.h"
#include "tools/commands.h"
#include "tools/texts.h"

namespace tenon {
namespace {

struct EncodeCommand {
  std::string encoder, out;
  TextSource texts;
  ComputeOptions compute;
  int max_length = 0;
  bool all_layers = false;

  void run() {
    compute.apply();
    const auto model = load_encoder(encoder);
    note_unexpected(encoder, model->unexpected_tensors());
    model->set_training(false);
    const Device device = parse_device(compute.device);
    move_to(*model, device);
    const int longest = max_length > 0 ? max_length : model->max_length();
    check(longest <= model->max_length(), "--max-length ", longest, " is over the ", model->max_length(),
          " positions of ", encoder);
    std::vector<std::vector<int32_t>> ids;
    for (const std::string& text : texts.read()) ids.push_back(model->tokenizer().encode(text, longest));
    const PackedBatch batch = PackedBatch::of_ids(ids).to(device);
    const Inference inference;
    Tensor input_ids = batch.input_ids, cu_seqlens = batch.cu_seqlens, last;
    std::vector<Tensor> states;
    NamedParameters tensors{
        {"input_ids", &input_ids}, {"cu_seqlens", &cu_seqlens}, {"last_hidden_state", &last}};
    if (all_layers) {
      for (const Tensor& state : model->hidden_states(batch)) states.push_back(to_full_precision(state));
      last = states.back();
      for (size_t i = 0; i < states.size(); ++i) tensors.emplace_back(str("hidden_states.", i), &states[i]);
    } else {
      last = to_full_precision((*model)(batch));
    }
    compute.check_forced_variants();
    save_tensors(out, tensors);
    std::printf("%ld texts, %ld tokens: %s\n", static_cast<long>(batch.sequences),
                static_cast<long>(batch.tokens), out.c_str());
  }
};

}  // namespace

void add_encode(CLI::App& program) {
  auto command = std::make_shared<EncodeCommand>();
  CLI::App* c = program.add_subcommand("encode", "Write an encoder's hidden states of texts");
  c->add_option("ENCODER", command->encoder, "Folder of a HuggingFace BERT")->required();
  command->texts.add_to(*c);
  c->add_option("--out", command->out, "safetensors file: input_ids, cu_seqlens, last_hidden_state (T, H)")
      ->required();
  c->add_flag("--all-layers", command->all_layers,
              "Also hidden_states.0 (the embeddings' output) to hidden_states.N");
  c->add_option("--max-length", command->max_length, "Cut texts to N tokens");
  c->add_flag("--jsonl", command->texts.jsonl, "Lines are JSON objects with \"text\"");
  command->compute.add_to(*c);
  command->compute.add_dtype_to(*c);
  c->footer(
      "Example:\n  tenon encode bert-base-uncased \"Hello world\" --out hello.safetensors --all-layers");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
