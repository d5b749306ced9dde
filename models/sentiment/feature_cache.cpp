#include "models/sentiment/feature_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/autograd.h"
#include "engine/io/file.h"
#include "engine/ops.h"
#include "engine/precision.h"
#include "kernels/base/profile.h"
#include "kernels/base/select.h"
#include "kernels/base/tuned.h"
#include "kernels/cpu/parallel.h"
#include "models/data/batches.h"

namespace tenon {
namespace {

constexpr size_t header_bytes = 4096;
constexpr char magic[8] = {'t', 'e', 'n', 'o', 'n', 'f', 'c', '1'};

struct Header {
  char magic[8];
  uint64_t key;
  uint64_t bytes;
  uint64_t complete;  // written last
};

}  // namespace

uint64_t hash_bytes(const void* data, size_t bytes, uint64_t seed) {
  constexpr uint64_t prime = 0x9E3779B97F4A7C15u;
  uint64_t hash = seed ^ (bytes * prime);
  const auto* from = static_cast<const char*>(data);
  for (; bytes >= 8; bytes -= 8, from += 8) {
    uint64_t word;
    std::memcpy(&word, from, 8);
    hash = (hash ^ word) * prime;
    hash ^= hash >> 29;
  }
  uint64_t last = 0;
  std::memcpy(&last, from, bytes);
  hash = (hash ^ last) * prime;
  return hash ^ (hash >> 32);
}

// Host memory, or a file with a header before the rows.
class FeatureCache::Memory {
 public:
  Memory(const std::filesystem::path& file, size_t bytes, uint64_t key) : bytes_(bytes) {
    if (file.empty()) {
      buffer_ = Buffer(Device::cpu, bytes);
      rows_ = buffer_.as<char>();
      return;
    }
    map(file);
    const Header& header = *static_cast<const Header*>(mapped_);
    complete_ = std::memcmp(header.magic, magic, sizeof magic) == 0 && header.key == key &&
                header.bytes == bytes && header.complete == 1;
    if (!complete_) {
      Header fresh{{}, key, bytes, 0};
      std::memcpy(fresh.magic, magic, sizeof magic);
      std::memcpy(mapped_, &fresh, sizeof fresh);
    }
    rows_ = static_cast<char*>(mapped_) + header_bytes;
  }
  ~Memory() {
    if (mapped_) munmap(mapped_, header_bytes + bytes_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  char* rows() const { return rows_; }
  bool complete() const { return complete_; }
  void set_complete() {
    if (!mapped_) return;
    msync(mapped_, header_bytes + bytes_, MS_SYNC);
    static_cast<Header*>(mapped_)->complete = 1;
    msync(mapped_, header_bytes, MS_SYNC);
  }

 private:
  void map(const std::filesystem::path& file) {
    const size_t size = header_bytes + bytes_;
    const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    check(descriptor >= 0, "cannot open the feature cache ", file.string(), ": ", std::strerror(errno));
    const int full = posix_fallocate(descriptor, 0, static_cast<off_t>(size));
    if (full == 0) mapped_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    check(full == 0, "the disk has no room for the feature cache ", file.string(), " of ", size,
          " bytes; give --cache-dtype bf16, or a path on another disk");
    if (mapped_ == MAP_FAILED) {
      mapped_ = nullptr;
      fail("cannot map the feature cache ", file.string(), ": ", std::strerror(errno));
    }
  }

  size_t bytes_;
  Buffer buffer_;
  void* mapped_ = nullptr;
  char* rows_ = nullptr;
  bool complete_ = false;
};

FeatureCache::FeatureCache(Encoder& encoder, const Examples& examples, const FeatureCacheOptions& options,
                           const std::function<void(int64_t, int64_t)>& progress)
    : dtype_(options.dtype), device_(options.device), hidden_size_(encoder.hidden_size()), offsets_{0} {
  check(!encoder.training(),
        "features cannot be cached while the encoder's dropout is on; leave out --cache-features "
        "or use --recipe default");
  check(dtype_ == DType::f32 || dtype_ == DType::bf16, "features are cached as fp32 or bf16, not as ",
        dtype_);
  for (int64_t length : examples.lengths()) offsets_.push_back(offsets_.back() + length);
  const size_t bytes = static_cast<size_t>(offsets_.back() * hidden_size_) * size_of(dtype_);
  memory_ = std::make_unique<Memory>(options.file, bytes,
                                     options.file.empty() ? 0 : key(encoder, examples, dtype_, device_));
  reused_ = memory_->complete();
  if (reused_) return;
  encode_all(encoder, examples, options.tokens_per_batch, progress);
  release_cached(device_);  // an encoder's blocks are of no size that the training of a head asks for
  memory_->set_complete();
}

FeatureCache::~FeatureCache() = default;

uint64_t FeatureCache::key(Encoder& encoder, const Examples& examples, DType dtype, Device device) {
  uint64_t hash = static_cast<uint64_t>(dtype) + 1;
  hash += static_cast<uint64_t>(device) << 8 | static_cast<uint64_t>(precision()) << 16;
  for (const auto& file : encoder.companion_files()) {  // the activation, say, is in none of the weights
    const std::string contents = read_file(file.string());
    hash = hash_bytes(contents.data(), contents.size(), hash);
  }
  for (const auto& [name, parameter] : named_parameters(encoder)) {
    hash = hash_bytes(name.data(), name.size(), hash);
    const Tensor host = parameter->to(Device::cpu);
    hash = hash_bytes(host.data(), host.bytes(), hash);
  }
  for (const auto& ids : examples.ids) hash = hash_bytes(ids.data(), ids.size() * sizeof ids[0], hash);
  std::string kernels = forced_variants();
  for (const TunedChoice& tuned : tuned_choices())
    if (tuned.device == device) kernels += str(tuned.operation, tuned.dtype, tuned.shape, tuned.variant);
  hash = hash_bytes(kernels.data(), kernels.size(), hash);
  return hash;
}

char* FeatureCache::rows_of(int64_t example) const {
  return memory_->rows() +
         static_cast<size_t>(offsets_[static_cast<size_t>(example)] * hidden_size_) * size_of(dtype_);
}

void FeatureCache::encode_all(Encoder& encoder, const Examples& examples, int64_t tokens_per_batch,
                              const std::function<void(int64_t, int64_t)>& progress) {
  const Inference inference;
  // Sorted by length: a batch's sequences are of a size, so the cores stay evenly busy.
  std::vector<int64_t> order(static_cast<size_t>(examples.size()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  const auto length = [&](int64_t i) {
    return offsets_[static_cast<size_t>(i) + 1] - offsets_[static_cast<size_t>(i)];
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });
  int64_t done = 0;
  for (size_t next = 0; next < order.size();) {
    std::vector<std::vector<int32_t>> ids;
    const size_t first = next;
    int64_t tokens = 0;
    do {
      tokens += length(order[next]);
      ids.push_back(examples.ids[static_cast<size_t>(order[next++])]);
    } while (next < order.size() && tokens + length(order[next]) <= tokens_per_batch);
    const Tensor features = encoder(PackedBatch::of_ids(ids).to(device_));
    const Tensor rows = cast(features, dtype_).to(Device::cpu);
    const char* from = static_cast<const char*>(rows.data());
    for (size_t i = first; i < next; ++i) {
      const size_t bytes = static_cast<size_t>(length(order[i]) * hidden_size_) * size_of(dtype_);
      std::memcpy(rows_of(order[i]), from, bytes);
      from += bytes;
    }
    done += tokens;
    if (progress) progress(done, offsets_.back());
  }
}

Tensor FeatureCache::gather(std::span<const int64_t> examples) const {
  const Section section("data");
  std::vector<int64_t> begins{0};
  for (int64_t example : examples) {
    const auto i = static_cast<size_t>(example);
    begins.push_back(begins.back() + offsets_[i + 1] - offsets_[i]);
  }
  Tensor rows({begins.back(), hidden_size_}, dtype_);
  parallel(static_cast<int64_t>(examples.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    const size_t width = static_cast<size_t>(hidden_size_) * size_of(dtype_);
    std::memcpy(static_cast<char*>(rows.data()) + static_cast<size_t>(begins[at]) * width,
                rows_of(examples[at]), static_cast<size_t>(begins[at + 1] - begins[at]) * width);
  });
  return cast(rows.to(device_), DType::f32);
}

}  // namespace tenon
