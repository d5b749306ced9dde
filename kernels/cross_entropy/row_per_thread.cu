// Cross entropy, plainly: a thread a row. One launch for the rows' losses, one for their mean, one for the
// slopes, which computes the rows' normalisers again. Bound by latency: a thread walks its row alone, and a
// warp's reads lie a row apart.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cross_entropy/formula.h"
#include "kernels/cross_entropy/losses.h"
#include "kernels/gather_rows/checked_index.h"
#include "kernels/simt/simt.h"

namespace tenon {
namespace {

constexpr int threads = 128;

template <class T>
__global__ void put_terms(const T* logits, const int32_t* labels, int64_t rows, int64_t classes,
                          IndexFault* fault, float* terms) {
  const int64_t row = int64_t{blockIdx.x} * threads + thread_number();
  if (row >= rows) return;
  const T* z = logits + row * classes;
  const int64_t label = checked_index(fault, IndexKind::label, labels[row], row, classes);
  terms[row] = cross_entropy::normaliser(z, classes).loss(to_float(z[label]));
}

template <class T>
__global__ void put_slopes(const T* logits, const int32_t* labels, int64_t rows, int64_t classes, T* slopes) {
  const int64_t row = int64_t{blockIdx.x} * threads + thread_number();
  if (row >= rows) return;
  const T* z = logits + row * classes;
  const int32_t label = labels[row];
  const auto normaliser = cross_entropy::normaliser(z, classes);
  for (int64_t i = 0; i < classes; ++i) {
    const float slope = normaliser.probability(to_float(z[i])) - (i == label ? 1.0f : 0.0f);
    slopes[row * classes + i] = from_float<T>(slope / static_cast<float>(rows));
  }
}

size_t workspace(const CrossEntropy::Args& a) { return static_cast<size_t>(a.labels.size()) * sizeof(float); }

void run(const CrossEntropy::Args& a, Stream& stream) {
  const int64_t rows = a.logits.shape[0], classes = a.logits.shape[1];
  const Buffer terms(kernel_device, workspace(a));
  const auto* labels = a.labels.as<int32_t>();
  dispatch<float, bf16>(a.logits.dtype, [&]<class T>() {
    launch(stream, {.grid = ceil_div(rows, threads), .block = threads}, put_terms<T>, a.logits.as<T>(),
           labels, rows, classes, index_fault(kernel_device), terms.as<float>());
    launch_mean(stream, terms.as<float>(), rows, rows, a.loss.as<T>());
    if (a.slopes.defined())
      launch(stream, {.grid = ceil_div(rows, threads), .block = threads}, put_slopes<T>, a.logits.as<T>(),
             labels, rows, classes, a.slopes.as<T>());
  });
}

const Register<CrossEntropy> registered{{.name = "row_per_thread",
                                         .device = kernel_device,
                                         .dtypes = {DType::f32, DType::bf16},
                                         .workspace = workspace,
                                         .run = run}};
const Register<CrossEntropyBackward> registered_backward{
    {.name = "row_per_thread",
     .device = kernel_device,
     .dtypes = {DType::f32, DType::bf16},
     .run = launch_scale_slopes<CrossEntropyBackward::Args>}};

}  // namespace
}  // namespace tenon
