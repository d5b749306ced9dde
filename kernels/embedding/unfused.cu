// BERT's embeddings from single steps: the sums of the tables' rows are written, and a layer norm follows;
// backward its gradient comes first, in fp32, and each table adds up its rows as in
// kernels/gather_rows/scanned_sums.h. Bound by memory bandwidth forward; backward by reading all indices once
// for each row of the vocabulary.
#include "kernels/base/memory.h"
#include "kernels/base/select.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather_rows/scanned_sums.h"
#include "kernels/layer_norm/block_rows.h"
#include "kernels/layer_norm/layer_norm.h"

namespace tenon {
namespace {

constexpr int threads = 128;

template <class T>
struct Tables {
  const int32_t *ids, *positions, *types;  // types may be null: 0 throughout
  const T *word, *position, *type;
  int64_t vocabulary, max_position, max_type, columns;
  T* sum;
  IndexFault* fault;
};

template <class T>
__global__ void add_rows(Tables<T> t) {
  const int64_t row = blockIdx.x;
  const auto start_of = [&](IndexKind kind, const int32_t* index, int64_t size) {
    return checked_index(t.fault, kind, index[row], row, size) * t.columns;
  };
  const T* word = t.word + start_of(IndexKind::token_id, t.ids, t.vocabulary);
  const T* position = t.position + start_of(IndexKind::position, t.positions, t.max_position);
  const T* type = t.type + (t.types ? start_of(IndexKind::token_type, t.types, t.max_type) : 0);
  for (int64_t i = thread_number(); i < t.columns; i += threads)
    t.sum[row * t.columns + i] = from_float<T>(to_float(word[i]) + to_float(type[i]) + to_float(position[i]));
}

size_t workspace(const Embedding::Args& a) { return a.sum.defined() ? 0 : a.y.bytes(); }

void run(const Embedding::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, workspace(a));
  TensorView sum = a.y;
  sum.data = a.sum.defined() ? a.sum.data : scratch.data();
  dispatch<float, bf16>(a.word.dtype, [&]<class T>() {
    const Tables<T> tables{a.ids.as<int32_t>(),
                           a.positions.as<int32_t>(),
                           a.token_types.as<int32_t>(),
                           a.word.as<T>(),
                           a.position.as<T>(),
                           a.token_type.as<T>(),
                           a.word.shape[0],
                           a.position.shape[0],
                           a.token_type.shape[0],
                           a.word.shape[1],
                           sum.as<T>(),
                           index_fault(kernel_device)};
    launch(stream, {.grid = a.ids.shape[0], .block = threads}, add_rows<T>, tables);
  });
  tenon::run<LayerNorm>({sum, a.gamma, a.beta, a.y, a.mean, a.rstd, a.eps}, stream);
}

size_t backward_workspace(const EmbeddingBackward::Args& a) {
  return static_cast<size_t>(a.dy.size()) * sizeof(float);
}

void run_backward(const EmbeddingBackward::Args& a, Stream& stream) {
  const Buffer scratch(kernel_device, backward_workspace(a));
  auto* dsum = scratch.as<float>();
  const int64_t rows = a.dy.shape[0], columns = a.dy.shape[1];
  dispatch<float, bf16>(a.dy.dtype, [&]<class T>() {
    const auto *mean = a.mean.as<float>(), *rstd = a.rstd.as<float>();
    launch(stream, block_rows_config(rows), row_gradients<T, float>, a.dy.as<T>(), a.sum.as<T>(),
           a.gamma.as<T>(), mean, rstd, dsum, columns);
    launch_affine_gradients(stream, a.dy.as<T>(), a.sum.as<T>(), mean, rstd, rows, columns, a.dgamma.as<T>(),
                            a.dbeta.as<T>());
    sum_by_scanning<T>(stream, dsum, rows, a.ids, IndexKind::token_id, a.dword);
    sum_by_scanning<T>(stream, dsum, rows, a.positions, IndexKind::position, a.dposition);
    sum_by_scanning<T>(stream, dsum, rows, a.token_types, IndexKind::token_type, a.dtoken_type);
  });
}

const Register<Embedding> registered{{.name = "unfused",
                                      .device = kernel_device,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .workspace = workspace,
                                      .run = run}};
const Register<EmbeddingBackward> registered_backward{{.name = "unfused",
                                                       .device = kernel_device,
                                                       .dtypes = {DType::f32, DType::bf16},
                                                       .workspace = backward_workspace,
                                                       .run = run_backward}};

}  // namespace
}  // namespace tenon
