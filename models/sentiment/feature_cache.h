// The hidden states of a frozen encoder for every review, computed once: in host memory or in a file that is
// mapped into memory, fp32 or bf16. A file is keyed by all that its contents depend on, and used again by a
// later run with the same key.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "models/sentiment/examples.h"

namespace tenon {

struct FeatureCacheOptions {
  DType dtype = DType::f32;    // or bf16
  std::filesystem::path file;  // empty: in memory
  int64_t tokens_per_batch = 4096;
  Device device = Device::cpu;  // where the encoder is
};

class FeatureCache {
 public:
  // Encodes what is not there yet; progress(tokens done, tokens in all). The encoder must be frozen and in
  // evaluation mode: with dropout its output is not one value. Throws when memory or the disk cannot hold it.
  FeatureCache(Encoder& encoder, const Examples& examples, const FeatureCacheOptions& options,
               const std::function<void(int64_t, int64_t)>& progress = nullptr);
  ~FeatureCache();
  FeatureCache(const FeatureCache&) = delete;
  FeatureCache& operator=(const FeatureCache&) = delete;

  // (T, H) f32 on the device: the rows of these examples, one after another.
  Tensor gather(std::span<const int64_t> examples) const;
  bool reused() const { return reused_; }

  // Of the weights, the encoder's other files, the tokens, the element type and the kernels.
  static uint64_t key(Encoder& encoder, const Examples& examples, DType dtype, Device device = Device::cpu);

 private:
  class Memory;
  char* rows_of(int64_t example) const;
  void encode_all(Encoder& encoder, const Examples& examples, int64_t tokens_per_batch,
                  const std::function<void(int64_t, int64_t)>& progress);

  DType dtype_;
  Device device_;
  int64_t hidden_size_;
  std::vector<int64_t> offsets_;  // first row of each example, and the end
  std::unique_ptr<Memory> memory_;
  bool reused_ = false;
};

// 64-bit hash of bytes, the same on every little-endian machine.
uint64_t hash_bytes(const void* data, size_t bytes, uint64_t seed = 0);

}  // namespace tenon
