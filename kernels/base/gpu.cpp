#include "kernels/base/gpu.h"

#include "kernels/base/error.h"

namespace tenon {
namespace {

std::string version(int number) { return str(number / 1000, ".", number % 1000 / 10); }

}  // namespace

std::string why_no_gpu(const GpuFacts& facts) {
  if (facts.driver == 0) return "no NVIDIA driver is installed";
  if (facts.driver / 1000 < facts.runtime / 1000)
    return str("its NVIDIA driver knows CUDA up to ", version(facts.driver), ", this build needs ",
               version(facts.runtime), ": update the driver");
  if (!facts.error.empty()) return facts.error;
  if (facts.devices == 0) return "the driver finds no GPU";
  const std::string gpu =
      str("its GPU has compute capability ", facts.capability / 10, ".", facts.capability % 10);
  if (facts.capability < 80) return gpu + ", and 8.0 is the least";
  if (!facts.has_code)
    return str(gpu, ", this build has code for ", facts.built_for,
               ": build it with -DCMAKE_CUDA_ARCHITECTURES=", facts.capability);
  return "";
}

}  // namespace tenon
