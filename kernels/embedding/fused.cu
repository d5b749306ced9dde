// BERT's embeddings, a warp a row: the rows of the three tables are added up in registers, the sum is written
// once where it is kept, and normalised from there. Rows of more than 8 vectors a lane are read again from
// memory. Bound by memory bandwidth: a row of the vocabulary in, sum and y out; the small tables stay in L2.
#include "kernels/base/registry.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather_rows/checked_index.h"
#include "kernels/layer_norm/warp_rows.h"

namespace tenon {
namespace {

constexpr int warps = 4;  // rows of a block

template <class T>
struct Table {
  const int32_t* index;  // null: 0 throughout
  const T* values;
  int64_t size;

  // The table's row that row `row` of the batch takes.
  __device__ const T* row_of(int64_t row, IndexKind kind, int64_t columns, IndexFault* fault) const {
    return values + (index ? checked_index(fault, kind, index[row], row, size) * columns : 0);
  }
};

template <class T>
struct Rows {
  Table<T> word, position, type;
  const T *gamma, *beta;
  T *y, *sum;  // sum may be null
  float *mean, *rstd;
  int64_t rows, columns;
  float eps;
  IndexFault* fault;
};

template <class T, int width, int held>
__global__ void __launch_bounds__(warps* warp_size) forward(Rows<T> rows) {
  const int64_t row = int64_t{blockIdx.x} * warps + warp_number(), columns = rows.columns;
  if (row >= rows.rows) return;
  const T* word = rows.word.row_of(row, IndexKind::token_id, columns, rows.fault);
  const T* position = rows.position.row_of(row, IndexKind::position, columns, rows.fault);
  const T* type = rows.type.row_of(row, IndexKind::token_type, columns, rows.fault);
  T *y = rows.y + row * columns, *memory = rows.sum ? rows.sum + row * columns : y;
  HeldRow<T, width, held> held_sum;
  float sum = 0;
  for_each_vector<width, held, warp_size>(columns, lane_number(), [&](int k, int64_t column) {
    auto values = load_vector<width>(word + column);
    const auto of_type = load_vector<width>(type + column), of_place = load_vector<width>(position + column);
    for (int i = 0; i < width; ++i) {
      values[i] = from_float<T>(to_float(values[i]) + to_float(of_type[i]) + to_float(of_place[i]));
      sum += to_float(values[i]);
    }
    held_sum.put(k, memory + column, values);
    if (held > 0 && rows.sum) store_vector(memory + column, values);
  });
  normalise_held(held_sum, memory, sum, columns, rows.gamma, rows.beta, rows.eps, y, rows.mean + row,
                 rows.rstd + row);
}

void run(const Embedding::Args& a, Stream& stream) {
  dispatch<float, bf16>(a.word.dtype, [&]<class T>() {
    const auto table = [](const TensorView& index, const TensorView& values) {
      return Table<T>{index.as<int32_t>(), values.as<T>(), values.shape[0]};
    };
    const Rows<T> rows{table(a.ids, a.word),
                       table(a.positions, a.position),
                       table(a.token_types, a.token_type),
                       a.gamma.as<T>(),
                       a.beta.as<T>(),
                       a.y.as<T>(),
                       a.sum.as<T>(),
                       a.mean.as<float>(),
                       a.rstd.as<float>(),
                       a.ids.shape[0],
                       a.word.shape[1],
                       static_cast<float>(a.eps),
                       index_fault(kernel_device)};
    dispatch_row<T, warp_size, 4, 8>(
        rows.columns,
        {a.word.data, a.position.data, a.token_type.data, a.gamma.data, a.beta.data, a.y.data, a.sum.data},
        [&]<int width, int held>() {
          launch(stream, {.grid = ceil_div(rows.rows, warps), .block = warps * warp_size},
                 forward<T, width, held>, rows);
        });
  });
}

const Register<Embedding> registered{{.name = "fused",
                                      .device = kernel_device,
                                      .priority = 10,
                                      .dtypes = {DType::f32, DType::bf16},
                                      .run = run}};

}  // namespace
}  // namespace tenon
