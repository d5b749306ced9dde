// The gradient of BERT's embeddings: that of the layer norm, in fp32, a warp a row where a warp can hold one
// (kernels/layer_norm/warp_rows_backward.h); then each table adds up its rows from sorted indices
// (kernels/gather_rows/sorted_sums.h). Bound by memory bandwidth, most of it for the gradient of the
// vocabulary.
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather_rows/sorted_sums.h"
#include "kernels/layer_norm/block_rows.h"
#include "kernels/layer_norm/warp_rows_backward.h"

namespace tenon {
namespace {

using Args = EmbeddingBackward::Args;

size_t dsum_bytes(const Args& a) { return static_cast<size_t>(a.dy.size()) * sizeof(float); }

size_t workspace(const Args& a) {
  const int64_t rows = a.dy.shape[0];
  return dsum_bytes(a) +
         std::max({warp_rows_workspace(rows, a.dy.shape[1]), sort_workspace(rows, a.ids, a.dword),
                   sort_workspace(rows, a.positions, a.dposition),
                   sort_workspace(rows, a.token_types, a.dtoken_type)});
}

template <class T>
void layer_norm_gradient(const Args& a, float* dsum, Stream& stream) {
  const int64_t rows = a.dy.shape[0], columns = a.dy.shape[1];
  GradientRows<T> row_set{
      a.dy.as<T>(), a.sum.as<T>(), a.gamma.as<T>(), a.mean.as<float>(), a.rstd.as<float>(),
      nullptr,      rows,          columns};
  if (why_not_warp_rows(a.dy.dtype, columns, {a.dy.data, a.sum.data, a.gamma.data, dsum}).empty()) {
    const Buffer partial(kernel_device, warp_rows_workspace(rows, columns));
    row_set.partial = partial.as<float>();
    return run_warp_rows_backward(stream, row_set, StoreRows<float>{dsum, columns}, a.dgamma.as<T>(),
                                  a.dbeta.as<T>());
  }
  launch(stream, block_rows_config(rows), row_gradients<T, float>, row_set.dy, row_set.x, row_set.gamma,
         row_set.mean, row_set.rstd, dsum, columns);
  launch_affine_gradients(stream, row_set.dy, row_set.x, row_set.mean, row_set.rstd, rows, columns,
                          a.dgamma.as<T>(), a.dbeta.as<T>());
}

void run(const Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, dsum_bytes(a));
  auto* dsum = scratch.as<float>();
  const int64_t rows = a.dy.shape[0];
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    layer_norm_gradient<T>(a, dsum, stream);
    sum_by_sorting<T>(stream, dsum, rows, a.ids, IndexKind::token_id, a.dword);
    sum_by_sorting<T>(stream, dsum, rows, a.positions, IndexKind::position, a.dposition);
    sum_by_sorting<T>(stream, dsum, rows, a.token_types, IndexKind::token_type, a.dtoken_type);
  });
}

const Register<EmbeddingBackward> registered{{.name = "sorted",
                                              .device = kernel_device,
                                              .priority = 10,
                                              .dtypes = {DType::f32, DType::bf16},
                                              .workspace = workspace,
                                              .run = run}};

}  // namespace
}  // namespace tenon
