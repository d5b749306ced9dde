// Binary cross entropy, plainly: a launch for the terms of the loss, one for their mean and one for the
// slopes, each of one element a thread. Bound by the latency of the launches: a batch has a few hundred
// logits.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/bce_with_logits/bce_with_logits.h"
#include "kernels/bce_with_logits/formula.h"
#include "kernels/cross_entropy/losses.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void put_terms(const T* logits, const T* labels, int64_t size, float* terms) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i < size) terms[i] = bce_with_logits::term(to_float(logits[i]), to_float(labels[i])).loss;
}

template <class T>
__global__ void put_slopes(const T* logits, const T* labels, int64_t size, T* slopes) {
  const int64_t i = int64_t{blockIdx.x} * threads + thread_number();
  if (i >= size) return;
  const float slope = bce_with_logits::term(to_float(logits[i]), to_float(labels[i])).slope;
  slopes[i] = from_float<T>(slope / static_cast<float>(size));
}

size_t workspace(const BceWithLogits::Args& a) {
  return static_cast<size_t>(a.logits.size()) * sizeof(float);
}

void run(const BceWithLogits::Args& a, Stream& stream) {
  const int64_t size = a.logits.size();
  const Buffer terms(kernel_device, workspace(a));
  dispatch<float, bf16>(a.logits.dtype, [&]<class T>() {
    const T *logits = a.logits.as<T>(), *labels = a.labels.as<T>();
    launch(stream, {.grid = ceil_div(size, threads), .block = threads}, put_terms<T>, logits, labels, size,
           terms.as<float>());
    launch_mean(stream, terms.as<float>(), size, size, a.loss.as<T>());
    if (a.slopes.defined())
      launch(stream, {.grid = ceil_div(size, threads), .block = threads}, put_slopes<T>, logits, labels, size,
             a.slopes.as<T>());
  });
}

const Register<BceWithLogits> registered{{.name = "one_element_per_thread",
                                          .device = kernel_device,
                                          .dtypes = {DType::f32, DType::bf16},
                                          .workspace = workspace,
                                          .run = run}};
const Register<BceWithLogitsBackward> registered_backward{
    {.name = "one_element_per_thread",
     .device = kernel_device,
     .dtypes = {DType::f32, DType::bf16},
     .run = launch_scale_slopes<BceWithLogitsBackward::Args>}};

}  // namespace
}  // namespace tenon
