// tenon convert: an encoder's folder again, its weights in half as many bytes. They are fp32 again once
// loaded.
#include <cstdio>
#include <filesystem>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/train/checkpoint.h"
#include "models/encoder.h"
#include "tools/commands.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

struct ConvertCommand {
  std::string encoder, out, dtype = "f16";

  void run() const {
    const fs::path folder = out;
    check(!fs::exists(folder) || fs::is_empty(folder), out, " exists already; give --out another folder");
    const auto model = load_encoder(encoder);
    note_unexpected(encoder, model->unexpected_tensors());
    const DType type = dtype == "f16" ? DType::f16 : dtype == "bf16" ? DType::bf16 : DType::f32;
    const Inference inference;
    const NamedParameters parameters = named_parameters(*model);
    std::vector<Tensor> converted;
    NamedParameters named;
    converted.reserve(parameters.size());
    for (const auto& [name, parameter] : parameters) {
      converted.push_back(cast(*parameter, type));
      named.emplace_back(name, &converted.back());
    }
    fs::create_directories(folder);
    for (const fs::path& file : model->companion_files()) fs::copy_file(file, folder / file.filename());
    save_tensors(folder / "model.safetensors", named);
    std::printf("wrote %zu tensors of type %s to %s\n", named.size(), dtype.c_str(), out.c_str());
  }
};

}  // namespace

void add_convert(CLI::App& program) {
  auto command = std::make_shared<ConvertCommand>();
  CLI::App* c = program.add_subcommand("convert", "Write an encoder with smaller weights");
  c->add_option("ENCODER", command->encoder, "Folder of a HuggingFace BERT")->required();
  c->add_option("--dtype", command->dtype, "f16, bf16 or f32")
      ->check(CLI::IsMember({"f16", "bf16", "f32"}))
      ->capture_default_str();
  c->add_option("--out", command->out, "The folder to write")->required();
  c->footer("Examples:\n  tenon convert all-MiniLM-L6-v2 --out minilm-f16");
  c->callback([command] { command->run(); });
}

}  // namespace tenon
