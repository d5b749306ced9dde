// Prints one vector for each text: the mean of the hidden states of its tokens, by a HuggingFace BERT.
#include <cstdio>

#include "engine/autograd.h"
#include "models/encoder.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: embed ENCODER TEXT...\n");
    return 2;
  }
  try {
    const auto encoder = tenon::load_encoder(argv[1]);
    encoder->set_training(false);
    const tenon::Inference inference;
    for (int i = 2; i < argc; ++i) {
      const auto ids = encoder->tokenizer().encode(argv[i], encoder->max_length());
      const tenon::Tensor states = (*encoder)(tenon::PackedBatch::of_ids({ids}));  // (T, H)
      const auto values = states.to_vector<float>();
      const auto tokens = static_cast<size_t>(states.size(0)), width = static_cast<size_t>(states.size(1));
      for (size_t column = 0; column < width; ++column) {
        float sum = 0;
        for (size_t row = 0; row < tokens; ++row) sum += values[row * width + column];
        std::printf("%s%.5f", column ? " " : "", double(sum / static_cast<float>(tokens)));
      }
      std::printf("\n");
    }
  } catch (const tenon::Error& error) {
    std::fprintf(stderr, "embed: %s\n", error.what());
    return 1;
  }
}
