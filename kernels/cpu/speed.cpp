// What the bench asks of the processor. Its true peak cannot be known: clocks change, and a virtual machine
// hides its ports. So the ceiling is what registers and memory were seen to do at their best, with a margin
// for a moment at which they do better.
#include "kernels/cpu/speed.h"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "kernels/base/speed.h"
#include "kernels/cpu/peak.h"

namespace tenon {
namespace {

constexpr double margin = 1.3;

// How many times the multiply-adds of fp32 the processor may do in elements of this type.
double times_of_fp32(DType dtype) {
  if (dtype == DType::f64) return 0.5;
  if (dtype != DType::bf16 && dtype != DType::f16) return 1;
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool known = __get_cpuid_count(7, 0, &a, &b, &c, &d);
  const bool tiles = known && d & (1u << 24), half_arithmetic = known && d & (1u << 23);
  const bool bf16_products = __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & (1u << 5);
  if (tiles) return 16;  // AMX
  return dtype == DType::bf16 ? (bf16_products ? 2 : 1) : (half_arithmetic ? 2 : 1);
}

Ceiling measured_ceiling(DType dtype) {
  return {.read_bytes_per_second = 1e9 * margin * measure_read(),
          .flops = 1e9 * margin * times_of_fp32(dtype) * measure_multiply_adds(),
          .from = "multiply-adds in registers and a read of memory, measured, times 1.3"};
}

double clock_loop() {
  double best = 1;
  for (int repeat = 0; repeat < 3; ++repeat) {  // what interrupts one of them makes it longer
    const auto start = std::chrono::steady_clock::now();
    uint64_t product = 3;
    for (int i = 0; i < 10'000; ++i) {
      product *= product;  // each waits for the one before
      asm volatile("" : "+r"(product));
    }
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// The first line of a file in /proc that begins so, after its colon.
std::string line_of(const char* file, std::string_view beginning) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(beginning) && line.find(':') + 2 < line.size())
      return line.substr(line.find(':') + 2);
  return "unknown";
}

std::vector<std::pair<std::string, std::string>> facts() {
  return {{"clock_mhz", line_of("/proc/cpuinfo", "cpu MHz")}};
}

const RegisterSpeed registered{Device::cpu,
                               {.copy_bytes_per_second = [] { return 1e9 * measure_copy(); },
                                .ceiling = measured_ceiling,
                                .clock_loop = clock_loop,
                                .cache_bytes = last_level_cache_bytes,
                                .hold = nullptr,
                                .facts = facts}};

}  // namespace

size_t last_level_cache_bytes() {
  for (int name : {_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
    if (const long bytes = sysconf(name); bytes > 0) return static_cast<size_t>(bytes);
  return 32u << 20;
}

}  // namespace tenon
