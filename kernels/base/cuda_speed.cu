// What the bench asks of a GPU. Its peak is known: units, clock and the width of its memory.
#include <fstream>
#include <string>

#include "kernels/base/cuda_error.h"
#include "kernels/base/device_name.h"
#include "kernels/base/event.h"
#include "kernels/base/memory.h"
#include "kernels/base/speed.h"

namespace tenon {
namespace {

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, 0), "cudaDeviceGetAttribute");
  return value;
}

int capability() {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
}

// Multiply-adds of one multiprocessor in one cycle, dense, as NVIDIA's tables of throughput and its papers on
// the architectures give them. 0: not known.
double multiply_adds_a_cycle(DType dtype) {
  const int version = capability();
  const bool data_centre = version == 80 || version == 90;
  switch (dtype) {
    case DType::f32:  // as tf32 on the tensor cores, which a product may use
      return version == 90 ? 1024 : version == 80 ? 512 : version < 90 ? 256 : 0;
    case DType::bf16:
    case DType::f16:
      return version == 90 ? 2048 : version == 80 ? 1024 : version < 90 ? 512 : 0;
    case DType::f64:
      return version == 90 ? 128 : data_centre ? 64 : version < 90 ? 2 : 0;
    default:
      return 0;
  }
}

Ceiling theoretical_ceiling(DType dtype) {
  const double clock = 1e3 * attribute(cudaDevAttrClockRate);
  const double memory_clock = 1e3 * attribute(cudaDevAttrMemoryClockRate);
  const double bytes_a_transfer = attribute(cudaDevAttrGlobalMemoryBusWidth) / 8.0;
  return {.read_bytes_per_second = 2 * memory_clock * bytes_a_transfer,  // both edges of the clock
          .flops = 2 * multiply_adds_a_cycle(dtype) * attribute(cudaDevAttrMultiProcessorCount) * clock,
          .from = "the GPU's units, highest clock and memory bus"};
}

// One thread that waits for so many cycles of its multiprocessor.
__global__ void wait_cycles(long long cycles) {
  const long long start = clock64();
  while (clock64() - start < cycles) {
  }
}

void hold(void* stream, double seconds) {
  const double cycles = seconds * 1e3 * attribute(cudaDevAttrClockRate);
  wait_cycles<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<long long>(cycles));
  check_cuda(cudaGetLastError(), "launch of wait_cycles");
}

double time_of(const Stream& stream, void (*work)(void*)) {
  Event begin(Device::cuda), end(Device::cuda);
  hold(stream.handle(), 50e-6);
  begin.record(stream);
  work(stream.handle());
  end.record(stream);
  end.wait();
  return end.seconds_since(begin);
}

double clock_loop() {
  return time_of(Stream::current(Device::cuda), [](void* stream) {
    wait_cycles<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(200'000);
    check_cuda(cudaGetLastError(), "launch of wait_cycles");
  });
}

double copy_bytes_per_second() {
  constexpr size_t bytes = size_t{1} << 30;
  static void *source = nullptr, *target = nullptr;
  const Buffer from(Device::cuda, bytes), to(Device::cuda, bytes);
  source = from.data(), target = to.data();
  memory_backend(Device::cuda).fill_zero(source, bytes);
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const double seconds = time_of(Stream::current(Device::cuda),
                                   [](void*) { memory_backend(Device::cuda).copy(target, source, bytes); });
    best = 2 * bytes / seconds > best ? 2 * bytes / seconds : best;
  }
  return best;
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95  …"
std::string driver() {
  std::ifstream lines("/proc/driver/nvidia/version");
  std::string line;
  return std::getline(lines, line) ? line : "unknown";
}

std::string version(int number) { return str(number / 1000, ".", number % 1000 / 10); }

std::vector<std::pair<std::string, std::string>> facts() {
  int knows = 0, runtime = 0;
  check_cuda(cudaDriverGetVersion(&knows), "cudaDriverGetVersion");
  check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {{"gpu", device_name(Device::cuda)},
          {"driver", driver()},
          {"cuda", str(version(runtime), ", the driver knows ", version(knows))},
          {"clock_mhz", std::to_string(attribute(cudaDevAttrClockRate) / 1000)},
          {"memory_clock_mhz", std::to_string(attribute(cudaDevAttrMemoryClockRate) / 1000)},
          {"multiprocessors", std::to_string(attribute(cudaDevAttrMultiProcessorCount))}};
}

size_t cache_bytes() { return static_cast<size_t>(attribute(cudaDevAttrL2CacheSize)); }

const RegisterSpeed registered{Device::cuda,
                               {.copy_bytes_per_second = copy_bytes_per_second,
                                .ceiling = theoretical_ceiling,
                                .clock_loop = clock_loop,
                                .cache_bytes = cache_bytes,
                                .hold = hold,
                                .facts = facts}};

}  // namespace
}  // namespace tenon
