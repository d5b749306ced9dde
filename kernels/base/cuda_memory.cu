// Memory, uploads and events of the cuda device, on CUDA's default stream. The driver is first asked when
// something first wants the device, so that a machine without a GPU, and a command that needs none, never
// waits for it.
#include <cstring>
#include <mutex>
#include <string>

#include "kernels/base/cuda_error.h"
#include "kernels/base/device_name.h"
#include "kernels/base/gpu.h"
#include "kernels/base/memory.h"
#include "kernels/base/staging_ring.h"

namespace tenon {
namespace {

__global__ void any_kernel() {}

std::string find_out_what_is_missing() {
  GpuFacts facts;
  cudaDriverGetVersion(&facts.driver);
  cudaRuntimeGetVersion(&facts.runtime);
  for (const int each : {__CUDA_ARCH_LIST__})  // 900 is 9.0
    facts.built_for += str(facts.built_for.empty() ? "" : ", ", each / 100, ".", each / 10 % 10);
  const cudaError_t counted = cudaGetDeviceCount(&facts.devices);
  if (counted == cudaErrorNoDevice)
    facts.devices = 0;
  else if (counted != cudaSuccess)
    facts.error = cudaGetErrorString(counted);
  if (facts.devices > 0) {
    int major = 0, minor = 0;
    check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0),
               "cudaDeviceGetAttribute");
    check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0),
               "cudaDeviceGetAttribute");
    facts.capability = 10 * major + minor;
    cudaFuncAttributes attributes;
    const cudaError_t found = cudaFuncGetAttributes(&attributes, any_kernel);
    facts.has_code = found == cudaSuccess;
    if (found != cudaErrorNoKernelImageForDevice && found != cudaErrorInvalidDeviceFunction)
      check_cuda(found, "cudaFuncGetAttributes");
  }
  cudaGetLastError();  // else the first launch would report what is missing
  return why_no_gpu(facts);
}

const std::string& missing() {
  static const std::string answer = find_out_what_is_missing();
  return answer;
}

void* allocate_block(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // else the next launch would report it
    return nullptr;
  }
  check_cuda(status, "cudaMalloc");
  return block;
}

void synchronize(void* stream) {
  check_cuda(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
  forget_launches();
}

void download(void* target, const void* source, size_t bytes) {
  check_cuda(cudaMemcpy(target, source, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy to the host");
  forget_launches();
}

// Uploads go through pinned memory: a copy from there stands in the queue, and the host goes on.
class Uploads {
 public:
  Uploads() {
    check_cuda(cudaHostAlloc(&pinned_, ring_bytes, cudaHostAllocDefault), "cudaHostAlloc");
    for (cudaEvent_t& event : arrived_)
      check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }

  void add(void* target, const void* source, size_t bytes) {
    const std::lock_guard lock(mutex_);
    for (size_t done = 0; done < bytes; done += piece_bytes) {
      const size_t size = std::min(bytes - done, piece_bytes);
      const auto place = ring_.take(size, [this](uint64_t number) { wait(number); });
      char* staged = static_cast<char*>(pinned_) + place.begin;
      std::memcpy(staged, static_cast<const char*>(source) + done, size);
      check_cuda(
          cudaMemcpyAsync(static_cast<char*>(target) + done, staged, size, cudaMemcpyHostToDevice, nullptr),
          "cudaMemcpyAsync to the device");
      check_cuda(cudaEventRecord(event_of(place.number), nullptr), "cudaEventRecord");
    }
  }

 private:
  static constexpr size_t ring_bytes = 32 << 20, piece_bytes = 4 << 20, most_places = 128;

  cudaEvent_t event_of(uint64_t number) const { return arrived_[number % most_places]; }

  void wait(uint64_t number) const {
    const cudaError_t status = cudaEventQuery(event_of(number));
    if (status == cudaSuccess) return;
    if (status != cudaErrorNotReady) check_cuda(status, "cudaEventQuery");
    count_synchronisation(Device::cuda);
    check_cuda(cudaEventSynchronize(event_of(number)), "cudaEventSynchronize");
  }

  void* pinned_ = nullptr;
  cudaEvent_t arrived_[most_places];
  StagingRing ring_{ring_bytes, most_places};
  std::mutex mutex_;
};

void upload(void* target, const void* source, size_t bytes) {
  static auto& uploads = *new Uploads;  // outlives CUDA itself
  uploads.add(target, source, bytes);
}

const EventBackend events{
    .make = []() -> void* {
      cudaEvent_t event;
      check_cuda(cudaEventCreate(&event), "cudaEventCreate");
      return event;
    },
    .free = [](void* event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); },
    .record =
        [](void* event, void* stream) {
          check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)),
                     "cudaEventRecord");
        },
    .wait =
        [](void* event) {
          check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
        },
    .seconds =
        [](void* earlier, void* later) {
          float milliseconds = 0;
          check_cuda(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(earlier),
                                          static_cast<cudaEvent_t>(later)),
                     "cudaEventElapsedTime");
          return milliseconds / 1000.0;
        }};

const RegisterMemory registered{
    Device::cuda,
    {.allocate = allocate_block,
     .free = [](void* block, size_t) { cudaFree(block); },
     .copy =
         [](void* target, const void* source, size_t bytes) {
           check_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, nullptr),
                      "cudaMemcpyAsync within the device");
         },
     .upload = upload,
     .download = download,
     .fill_zero =
         [](void* block, size_t bytes) {
           check_cuda(cudaMemsetAsync(block, 0, bytes, nullptr), "cudaMemsetAsync");
         },
     .synchronize = synchronize,
     .events = &events,
     .missing = missing}};

const RegisterDeviceName name(Device::cuda, [] {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  return std::string(properties.name);
});

}  // namespace
}  // namespace tenon
