// Times the multiply-adds of the widest instruction set, and a copy.
#include "kernels/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/memory.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"

namespace tenon {
namespace {

// The best of several runs, in seconds: what disturbs a run only makes it longer.
double best_time(const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < 8; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double measure_gflops() {
  check(has_avx512() || has_avx2(), "the peak is measured with AVX2 or AVX-512, which this processor lacks");
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
  constexpr size_t bytes = size_t{256} << 20, piece = size_t{4} << 20;
  const Buffer source(Device::cpu, bytes), target(Device::cpu, bytes);
  const auto for_pieces = [&](const std::function<void(size_t)>& body) {
    parallel(bytes / piece, [&](int64_t i) { body(static_cast<size_t>(i) * piece); });
  };
  for_pieces([&](size_t at) { std::memset(source.as<char>() + at, 1, piece); });
  const double seconds = best_time([&] {
    for_pieces([&](size_t at) { std::memcpy(target.as<char>() + at, source.as<char>() + at, piece); });
  });
  return 2 * static_cast<double>(bytes) / seconds / 1e9;
}

}  // namespace

Peak measure_peak() { return {.gflops = measure_gflops(), .copy_gb_s = measure_copy()}; }

}  // namespace tenon
