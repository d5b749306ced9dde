// SHA-256 (FIPS 180-4): names data sets, weights and cached features by their content.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

class Sha256 {
 public:
  Sha256& update(std::string_view bytes);
  std::string hex() const;  // of all bytes so far: 64 lower-case digits

 private:
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending_{};  // the first size_ % 64 bytes are an unfinished block
  uint64_t size_ = 0;
};

std::string sha256_of(std::string_view bytes);

// Throws Error where the file cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace tenon
