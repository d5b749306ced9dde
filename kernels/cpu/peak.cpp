// Times the multiply-adds of the widest instruction set, a copy, and reading.
#include "kernels/cpu/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/memory.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/speed.h"

namespace tenon {
namespace {

// The best of several runs, in seconds: what disturbs a run only makes it longer.
double best_time(const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Blocks of twice the last cache, so that none of one is left when it is read again.
size_t far_beyond_the_caches() { return std::max(size_t{256} << 20, 2 * last_level_cache_bytes()); }

constexpr size_t piece = size_t{4} << 20;

void for_pieces(size_t bytes, const std::function<void(size_t)>& body) {
  parallel(static_cast<int64_t>(bytes / piece), [&](int64_t i) { body(static_cast<size_t>(i) * piece); });
}

}  // namespace

double measure_multiply_adds() {
  if (!has_avx512() && !has_avx2()) return 0;
  const int threads = thread_count();
  std::vector<double> counts(static_cast<size_t>(threads));
  const double seconds = best_time([&] {
    parallel(threads, [&](int64_t i) {
      counts[i] =
          has_avx512() ? detail::multiply_adds_avx512(4'000'000) : detail::multiply_adds_avx2(4'000'000);
    });
  });
  return 2 * counts[0] * threads / seconds / 1e9;
}

double measure_copy() {
  const size_t bytes = far_beyond_the_caches();
  const Buffer source(Device::cpu, bytes), target(Device::cpu, bytes);
  for_pieces(bytes, [&](size_t at) { std::memset(source.as<char>() + at, 1, piece); });
  const double seconds = best_time([&] {
    for_pieces(bytes, [&](size_t at) { std::memcpy(target.as<char>() + at, source.as<char>() + at, piece); });
  });
  return 2 * static_cast<double>(bytes / piece * piece) / seconds / 1e9;
}

double measure_read() {
  const size_t bytes = far_beyond_the_caches();
  const Buffer source(Device::cpu, bytes);
  for_pieces(bytes, [&](size_t at) { std::memset(source.as<char>() + at, 1, piece); });
  std::atomic<uint64_t> seen{0};  // else there would be no reason to read
  const double seconds = best_time([&] {
    for_pieces(bytes, [&](size_t at) {
      const auto* words = reinterpret_cast<const uint64_t*>(source.as<char>() + at);
      uint64_t sum = 0;
      for (size_t i = 0; i < piece / sizeof(uint64_t); ++i) sum ^= words[i];
      seen.fetch_xor(sum, std::memory_order_relaxed);
    });
  });
  return static_cast<double>(bytes / piece * piece) / seconds / 1e9;
}

Peak measure_peak() {
  const double gflops = measure_multiply_adds();
  check(gflops > 0, "the peak is measured with AVX2 or AVX-512, which this processor lacks");
  return {.gflops = gflops, .copy_gb_s = measure_copy()};
}

}  // namespace tenon
