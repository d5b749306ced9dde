// BERT's embeddings on the CPU, rows in parallel. The backward keeps the gradient of the sums and adds it to
// each table by its owner. Bandwidth bound; the backward by writing the word table's gradient.
#include "kernels/base/registry.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather_rows/scatter.h"
#include "kernels/layer_norm/vector_rows.h"

namespace tenon {
namespace {

// scratch(columns) takes the sum where it is not kept.
void forward_row(const Embedding::Args& a, int64_t row, float* scratch) {
  const int64_t columns = a.word.shape[1];
  const int64_t token_type = a.token_types.defined() ? a.token_types.as<int32_t>()[row] : 0;
  const float* word = a.word.as<float>() + a.ids.as<int32_t>()[row] * columns;
  const float* position = a.position.as<float>() + a.positions.as<int32_t>()[row] * columns;
  const float* type = a.token_type.as<float>() + token_type * columns;
  float* sum = a.sum.defined() ? a.sum.as<float>() + row * columns : scratch;
  for (int64_t i = 0; i < columns; ++i) sum[i] = word[i] + type[i] + position[i];
  layer_norm::vector_forward_row(sum, a.gamma.as<float>(), a.beta.as<float>(), columns, a.eps,
                                 a.y.as<float>() + row * columns, a.mean.as<float>()[row],
                                 a.rstd.as<float>()[row]);
}

void forward(const Embedding::Args& a, Stream&) {
  check_embedding_indices(a.ids, a.positions, a.token_types, a.word.shape[0], a.position.shape[0],
                          a.token_type.shape[0]);
  parallel_for(a.ids.shape[0], layer_norm::rows_per_task, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(a.word.shape[1]));
    for (int64_t row = begin; row < end; ++row) forward_row(a, row, scratch.data());
  });
}

size_t workspace(const EmbeddingBackward::Args& a) {
  return a.dy.bytes() + layer_norm::backward_workspace(a.dy.shape[0], a.dy.shape[1]);
}

void backward(const EmbeddingBackward::Args& a, Stream&) {
  check_embedding_indices(a.ids, a.positions, a.token_types, a.dword.shape[0], a.dposition.shape[0],
                          a.dtoken_type.shape[0]);
  const int64_t rows = a.dy.shape[0], columns = a.dy.shape[1];
  const Buffer buffer(Device::cpu, a.dy.bytes());
  float* dsum = buffer.as<float>();
  layer_norm::for_each_row_backward(rows, columns, a.dgamma.as<float>(), a.dbeta.as<float>(),
                                    [&](int64_t row, float* dgamma, float* dbeta) {
                                      layer_norm::vector_backward_row(
                                          a.dy.as<float>() + row * columns, a.sum.as<float>() + row * columns,
                                          a.gamma.as<float>(), columns, a.mean.as<float>()[row],
                                          a.rstd.as<float>()[row], dsum + row * columns, dgamma, dbeta);
                                    });
  cpu::scatter_rows(dsum, rows, a.ids, a.dword);
  cpu::scatter_rows(dsum, rows, a.positions, a.dposition);
  cpu::scatter_rows(dsum, rows, a.token_types, a.dtoken_type);
}

const Register<Embedding> vectorised{
    {.name = "vectorised", .device = Device::cpu, .priority = 10, .dtypes = {DType::f32}, .run = forward}};
const Register<EmbeddingBackward> vectorised_backward{{.name = "vectorised",
                                                       .device = Device::cpu,
                                                       .priority = 10,
                                                       .dtypes = {DType::f32},
                                                       .workspace = workspace,
                                                       .run = backward}};

}  // namespace
}  // namespace tenon
